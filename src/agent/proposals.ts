import { RlpaError } from '../errors';
import {
  type Profile,
  type ProfileChange,
  type ProfileSchema,
  type RejectedValue,
  type SlotDefinition,
  type SlotMap,
  slotItem,
} from '../profile/index';
import { type SlotFilter, withoutConsent } from './consent';
import type { ProposedChange } from './structured-answer';

export interface AppliedProposals<S extends SlotMap> {
  readonly profile: Profile<S>;
  readonly rejected: readonly RejectedValue[];
  /** The user's words that the model went by, by item key. */
  readonly quotes: ReadonlyMap<string, string>;
}

/**
 * Applies what a model proposes, change by change; what the schema or the lack of consent refuses is reported. A slot may be named by its
 * label, and `set` and `add` are understood by the slot's cardinality: models mix them up, and nothing is lost by it. No list is replaced
 * as a whole.
 */
export function applyProposals<S extends SlotMap>(
  before: Profile<S>,
  proposals: readonly ProposedChange[],
  isAllowed: SlotFilter,
): AppliedProposals<S> {
  let profile = before;
  const rejected: RejectedValue[] = [];
  const quotes = new Map<string, string>();
  for (const { quote, isOmission, ...proposal } of proposals) {
    const slot = before.schema.slotByLabel(proposal.slot);
    if (!slot) {
      rejected.push({ slot: proposal.slot, value: proposal.value, reason: 'the schema has no such slot' });
      continue;
    }
    if (!isAllowed(slot)) {
      rejected.push(withoutConsent(slot.key));
      continue;
    }
    if (slot.cardinality === 'many' && isNoValue(proposal)) {
      // A list is never emptied by what is missing.
      rejected.push({ slot: slot.key, value: proposal.value, reason: 'a list loses values one by one: "remove" says which' });
      continue;
    }
    for (const change of fitting(proposal, slot)) {
      const earlier = profile;
      try {
        profile = profile.with([change as ProfileChange<S>]);
      } catch (error) {
        if (!RlpaError.isInstance(error)) throw error;
        rejected.push({ slot: slot.key, value: change.value, reason: String(error.details.reason ?? error.message) });
        continue;
      }
      if (change.op === 'remove' && profile === earlier && !isOmission) {
        rejected.push({ slot: slot.key, value: change.value, reason: 'the slot holds no such value' });
      }
      if (quote) quotes.set(keyOf(before.schema, slot, change.value), quote);
    }
  }
  return { profile, rejected, quotes };
}

function fitting(change: ProfileChange, { key, cardinality }: SlotDefinition): ProfileChange[] {
  if (change.op === 'remove') return [{ ...change, slot: key }];
  if (cardinality === 'one') return [{ op: 'set', slot: key, value: change.value }];
  // "set" would remove what it does not list, and models list what the message tells.
  const values = Array.isArray(change.value) ? change.value : [change.value];
  return values.map((value) => ({ op: 'add', slot: key, value }));
}

/** A removal of nothing in particular, or an empty list. */
function isNoValue({ op, value }: ProfileChange): boolean {
  return op === 'remove' ? value === undefined : Array.isArray(value) && value.length === 0;
}

function keyOf<S extends SlotMap>(schema: ProfileSchema<S>, slot: SlotDefinition, value: unknown): string {
  const reading = schema.read(slot.key, value);
  return slotItem(slot, reading.ok ? reading.value : value).key;
}
