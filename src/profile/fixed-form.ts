import type { ValueType } from './value-type';

/**
 * Whether the texts that a type takes are listed, or have a format or a pattern (`z.enum`, `z.email()`, `z.iso.date()`): then each sign of them
 * counts. Free text, and what a JSON Schema does not describe, has no such form.
 */
export function hasFixedForm(type: ValueType): boolean {
  const { $defs = {}, ...schema }: TextSchema = type.toJSONSchema({ unrepresentable: 'any', io: 'input' });
  return isFixed(schema, new Map(Object.entries($defs)));
}

/** @param definitions what schemas may refer to; each is looked at once, for types may refer to themselves */
function isFixed(schema: TextSchema, definitions: Map<string, TextSchema>): boolean {
  if (schema.$ref !== undefined) {
    const name = schema.$ref.replace('#/$defs/', '');
    const referred = definitions.get(name);
    definitions.delete(name);
    return referred !== undefined && isFixed(referred, definitions);
  }
  const choices = schema.anyOf ?? schema.oneOf;
  if (choices) {
    const texts = choices.filter(({ type = 'string' }) => type === 'string');
    return texts.length > 0 && texts.every((choice) => isFixed(choice, definitions));
  }
  const { enum: listed, const: only, format, pattern, allOf = [] } = schema;
  return [listed, only, format, pattern].some((said) => said !== undefined) || allOf.some((part) => isFixed(part, definitions));
}

/** The parts of a JSON Schema that say which texts there may be. */
interface TextSchema {
  readonly type?: unknown;
  readonly enum?: unknown;
  readonly const?: unknown;
  readonly format?: unknown;
  readonly pattern?: unknown;
  readonly allOf?: readonly TextSchema[];
  readonly anyOf?: readonly TextSchema[];
  readonly oneOf?: readonly TextSchema[];
  readonly $ref?: string;
  readonly $defs?: Readonly<Record<string, TextSchema>>;
}
