import type { ValueType } from './value-type';

/**
 * Whether the texts that a type takes are listed or have a format (`z.enum`, `z.email()`, `z.iso.date()`): then each sign of them counts. Free text
 * has no such form, be it held to a pattern (that it is not blank, say); nor has what a JSON Schema does not describe.
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
  const { enum: listed, const: only, format, allOf = [] } = schema;
  return listed !== undefined || only !== undefined || isFormat(format) || allOf.some((part) => isFixed(part, definitions));
}

/** zod names formats where it only asks for some letters. */
function isFormat(format: unknown): boolean {
  return format !== undefined && !/^(?:regex|includes|starts_with|ends_with|lowercase|uppercase)$/.test(String(format));
}

/** The parts of a JSON Schema that say which texts there may be. */
interface TextSchema {
  readonly type?: unknown;
  readonly enum?: unknown;
  readonly const?: unknown;
  readonly format?: unknown;
  readonly allOf?: readonly TextSchema[];
  readonly anyOf?: readonly TextSchema[];
  readonly oneOf?: readonly TextSchema[];
  readonly $ref?: string;
  readonly $defs?: Readonly<Record<string, TextSchema>>;
}
