import type { Launch, Value } from './lower';

/**
 * Gives each value that lives within a run a slot, such that values that are needed at the same time never share one. A value takes the free
 * slot whose size fits best. Slots are numbered by size, the largest first: programs run one after the other, so all of them
 * share one set of buffers, and the set is hardly larger than what the largest program needs.
 *
 * @returns the bytes of each slot
 */
export function assignSlots(launches: readonly Launch[], kept: ReadonlySet<Value>): number[] {
  const lastUse = new Map<Value, number>();
  launches.forEach(({ uses }, index) => {
    for (const { value } of uses) if (value.place.kind === 'scratch') lastUse.set(value, index);
  });
  const slots: { bytes: number; values: Value[] }[] = [];
  const free = new Set<(typeof slots)[number]>();
  const held = new Map<Value, (typeof slots)[number]>();
  launches.forEach(({ uses }, index) => {
    for (const { value } of uses) {
      if (value.place.kind !== 'scratch' || held.has(value)) continue;
      let best: (typeof slots)[number] | undefined;
      for (const slot of free) {
        // the smallest that is large enough, otherwise the largest, which grows
        const better = !best || (slot.bytes >= value.bytes ? best.bytes < value.bytes || slot.bytes < best.bytes : slot.bytes > best.bytes);
        if (better) best = slot;
      }
      if (best) free.delete(best);
      else {
        best = { bytes: 0, values: [] };
        slots.push(best);
      }
      best.bytes = Math.max(best.bytes, value.bytes);
      best.values.push(value);
      held.set(value, best);
    }
    for (const { value } of uses) {
      const slot = held.get(value);
      if (slot && lastUse.get(value) === index && !kept.has(value)) free.add(slot);
    }
  });
  slots.sort((a, b) => b.bytes - a.bytes);
  slots.forEach(({ values }, index) => {
    for (const value of values) value.slot = index;
  });
  return slots.map(({ bytes }) => bytes);
}
