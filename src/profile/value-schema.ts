import type { SlotDefinition } from './slot';

export type JsonSchema = Readonly<Record<string, unknown>>;

/** What a JSON Schema is made of that has values of slots in it. */
export interface ValueSchemas {
  /** The JSON Schema of one value, by the slot's key. */
  readonly values: Readonly<Record<string, JsonSchema>>;
  /** `$defs` with what these refer to, if they do: it belongs at the root of the whole, where references are resolved. */
  readonly root: { readonly $defs?: JsonSchema };
}

/** Made once for each slot, and kept as text: what is given out is the caller's own. */
const described = new WeakMap<SlotDefinition, string>();

export function valueSchemas(slots: readonly SlotDefinition[]): ValueSchemas {
  const values: Record<string, JsonSchema> = {};
  const $defs: Record<string, JsonSchema> = {};
  for (const slot of slots) {
    let json = described.get(slot);
    if (json === undefined) {
      json = JSON.stringify(describe(slot));
      described.set(slot, json);
    }
    const own: ReturnType<typeof describe> = JSON.parse(json);
    values[slot.key] = own.value;
    Object.assign($defs, own.$defs);
  }
  return { values, root: Object.keys($defs).length > 0 ? { $defs } : {} };
}

/** Definitions get names that are no other slot's; what refers to the whole type becomes one of them. */
function describe({ key, type }: SlotDefinition): { readonly value: JsonSchema; readonly $defs: JsonSchema } {
  const whole = `#/$defs/${key}`;
  let isRecursive = false;
  const json = JSON.stringify(type.toJSONSchema({ unrepresentable: 'any', io: 'input' }), (name, part) => {
    if (name !== '$ref' || typeof part !== 'string' || !part.startsWith('#')) return part;
    if (part.startsWith('#/$defs/')) return part.replace('#/$defs/', `${whole}.`);
    isRecursive = true;
    return part.replace('#', whole);
  });
  const { $schema, $defs = {}, ...value } = JSON.parse(json);
  const named = Object.fromEntries(Object.entries($defs).map(([name, schema]) => [`${key}.${name}`, schema]));
  return isRecursive ? { value: { $ref: whole }, $defs: { ...named, [key]: value } } : { value, $defs: named };
}
