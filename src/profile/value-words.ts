import type { JsonSchema } from './value-schema';

/**
 * What values a JSON Schema takes, in words for a model (`a whole number from 0 to 130`); nothing where any text will do, or where words
 * would not say it.
 */
export function valueWords(schema: JsonSchema): string | undefined {
  if (Array.isArray(schema.enum)) return `one of ${schema.enum.map(written).join(', ')}`;
  if (schema.const !== undefined) return written(schema.const);
  const choices = schema.anyOf ?? schema.oneOf;
  if (Array.isArray(choices))
    return listed(
      choices.map((choice) => (isText(choice) ? 'text' : valueWords(choice))),
      ' or ',
    );
  switch (schema.type) {
    case 'boolean':
      return 'true or false';
    case 'integer':
      return `a whole number${range(schema)}`;
    case 'number':
      return `a number${range(schema)}`;
    case 'string':
      return textWords(schema);
    case 'object':
      return objectWords(schema);
    case 'array':
      return listWords(schema);
    default:
      return undefined;
  }
}

/** Longer ones tell a model nothing. */
const longestPattern = 40;

/** How texts of a format look. */
const formats: Readonly<Record<string, string>> = {
  date: 'a date like 2024-05-31',
  'date-time': 'a date and time like 2024-05-31T08:30:00Z',
  duration: 'a duration like P1DT12H',
  email: 'an email address',
  uri: 'a URL',
};

function textWords({ format, pattern, minLength, maxLength }: JsonSchema): string | undefined {
  if (typeof format === 'string' && Object.hasOwn(formats, format)) return formats[format];
  if (typeof pattern === 'string' && pattern.length <= longestPattern) return `text that matches ${pattern}`;
  if (typeof maxLength === 'number')
    return `text of ${typeof minLength === 'number' ? `${minLength} to` : 'at most'} ${maxLength} characters`;
  return typeof minLength === 'number' && minLength > 1 ? `text of at least ${minLength} characters` : undefined;
}

function objectWords({ properties, required }: JsonSchema): string | undefined {
  if (typeof properties !== 'object' || properties === null || Object.keys(properties).length === 0) return undefined;
  const needed = new Set(Array.isArray(required) ? required : []);
  const parts = Object.entries(properties as Record<string, JsonSchema>).map(([name, value]) => {
    return `"${name}" (${partWords(value) ?? 'a value'}${needed.has(name) ? '' : ', may be left out'})`;
  });
  return `JSON, an object with ${listed(parts, ', ')}`;
}

function listWords({ items, prefixItems, minItems, maxItems }: JsonSchema): string {
  if (Array.isArray(prefixItems)) return `JSON, a list of ${prefixItems.map((part) => partWords(part) ?? 'a value').join(', ')}`;
  const [least, most] = [minItems, maxItems].map((bound) => (typeof bound === 'number' && bound > 0 ? bound : undefined));
  const bounds = most === undefined ? `at least ${least}` : least === undefined ? `at most ${most}` : `${least} to ${most}`;
  const count = least === most ? least : bounds;
  const words = typeof items === 'object' && items !== null ? partWords(items as JsonSchema) : undefined;
  return `JSON, a list${count ? ` of ${count}` : ''}${words ? `, each ${words}` : ''}`;
}

/** The same for a part of a value: text, too, is a word there. */
function partWords(schema: JsonSchema): string | undefined {
  return valueWords(schema) ?? (isText(schema) ? 'text' : undefined);
}

/** zod writes the bounds of safe integers where there are no others. */
function range({ minimum, maximum, exclusiveMinimum, exclusiveMaximum }: JsonSchema): string {
  const isBound = (value: unknown): value is number => typeof value === 'number' && Math.abs(value) < Number.MAX_SAFE_INTEGER;
  if (isBound(minimum) && isBound(maximum)) return ` from ${minimum} to ${maximum}`;
  const from = isBound(minimum) ? `at least ${minimum}` : isBound(exclusiveMinimum) ? `more than ${exclusiveMinimum}` : undefined;
  const to = isBound(maximum) ? `at most ${maximum}` : isBound(exclusiveMaximum) ? `less than ${exclusiveMaximum}` : undefined;
  const bounds = [from, to].filter((bound) => bound !== undefined);
  return bounds.length > 0 ? `, ${bounds.join(' and ')}` : '';
}

/** As it is to be written: text without quotes, all else as JSON. */
function written(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}

function isText({ type, ...rest }: JsonSchema): boolean {
  return type === 'string' && Object.keys(rest).length === 0;
}

function listed(parts: readonly (string | undefined)[], separator: string): string | undefined {
  return parts.includes(undefined) ? undefined : [...new Set(parts)].join(separator);
}
