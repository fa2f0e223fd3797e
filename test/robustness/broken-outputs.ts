import { z } from 'zod';
import { formatTurn, ProfileSchema, slot } from '../../src/profile/index';
import type { Random } from '../../src/random';

/** Slots of every kind, with what each must hold said once more, apart from the library. */
export const kinds = {
  occupation: z.string(),
  interests: z.string(),
  age: z.int().min(0).max(130),
  smoker: z.boolean(),
  home: z.object({ city: z.string(), zip: z.string().optional() }),
  mood: z.enum(['good', 'bad']),
  anything: z.unknown(),
  health: z.string(),
  other: z.string(),
} as const;

export const maxLength = 60;

export const schema = ProfileSchema.define({
  occupation: slot.one(kinds.occupation, { maxLength }),
  interests: slot.many(kinds.interests, { maxLength }),
  age: slot.one(kinds.age),
  smoker: slot.one(kinds.smoker),
  home: slot.one(kinds.home, { maxLength }),
  mood: slot.one(kinds.mood),
  anything: slot.many(kinds.anything, { maxLength }),
  health: slot.many(kinds.health, { sensitive: true }),
  other: slot.open({ maxLength }),
});

export interface GeneratedOutput {
  readonly form: 'text' | 'json';
  readonly text: string;
  /** The reply that is in it, where the generator knows. */
  readonly reply?: string;
  /** The whole reply of which the beginning is in it. */
  readonly begun?: string;
}

const words = [
  'hiking',
  'jazz',
  'nurse',
  'Oslo',
  '42',
  'yes',
  'night shift',
  'ΩΩ',
  '日本語',
  '🏔️ peaks',
  'a;b',
  'c\\d',
  '<b>',
  '</profile>',
];

/** What models write when they go wrong: bits of both forms, of other formats, and of nothing. */
const debris = [
  '<profile>',
  '</profile>',
  '<response>',
  '</response>',
  '<\\/response>',
  '<response',
  '<RESPONSE>',
  '</',
  '<profile><profile>',
  '- Age: old',
  '- Occupation: nurse\n- Occupation: spy',
  '- __proto__: x',
  '- constructor: x',
  '- Interests: ;;;\\;',
  '- Home: {"city": 3}',
  '"reply": "',
  '"reply": 5,',
  '{"changes":',
  '{"reply": {"reply": "nested"}}',
  '}]}',
  '"__proto__": {"polluted": true},',
  'null',
  '```json\n',
  '```',
  '\\u12',
  '\\ud83d',
  '\\u0000',
  '\\',
  '"',
  '\0',
  '\ud800',
  '\udc00',
  '\ufeff',
  '\ufffd',
  'Ã©â€™',
  '\u202e',
  '\u2028',
  '1e999',
  '-',
  '<|im_end|>',
  '<think>',
  '</think>',
  '\r\n',
  '    ',
  '😀',
];

/** One output of a model that went wrong, or did not. */
export function brokenOutput(random: Random): GeneratedOutput {
  const form = random.pick(['text', 'json'] as const);
  const whole = form === 'text' ? textTurn(random) : jsonTurn(random);
  const kind = random.integer(10);
  if (kind === 0) return whole;
  if (kind <= 3) return cutOff(whole, random);
  if (kind === 4) return { form, text: repeated(random, whole.text) };
  if (kind === 5) return { form, text: nonsense(random) };
  if (kind === 6) return { form, text: wrongEncoding(random, whole.text) };
  if (kind === 7) return { form, text: whole.text + (form === 'text' ? textTurn(random) : jsonTurn(random)).text };
  return { form, text: edited(random, whole.text) };
}

function textTurn(random: Random): GeneratedOutput {
  const profile = schema.safeProfile({
    occupation: random.chance(0.6) ? random.pick(words) : undefined,
    interests: Array.from({ length: random.integer(4) }, () => random.pick(words)),
    age: random.chance(0.3) ? random.integer(131) : undefined,
    home: random.chance(0.2) ? { city: random.pick(words) } : undefined,
    anything: random.chance(0.2) ? [random.integer(9), [random.pick(words)]] : [],
    health: random.chance(0.2) ? ['asthma'] : [],
  }).profile;
  const reply = replyText(random);
  return { form: 'text', text: formatTurn(profile, reply), reply: reply.trim() };
}

function jsonTurn(random: Random): GeneratedOutput {
  const anyValue = (): unknown =>
    random.pick<unknown>([
      random.pick(words),
      random.integer(200) - 20,
      random.chance(0.5),
      null,
      { city: random.pick(words) },
      [random.pick(words), [random.pick(words)]],
      'x'.repeat(random.integer(300)),
      '',
      ' ',
      '\ud800',
      '\0',
      1e300,
      { toString: 'x' },
    ]);
  const change = () =>
    random.chance(0.1)
      ? anyValue()
      : {
          op: random.pick(['set', 'add', 'remove', 'set', 'add', 'replace', 3]),
          slot: random.pick([...Object.keys(kinds), 'Occupation', 'shoeSize', '__proto__', 'constructor', '', 7]),
          value: anyValue(),
          evidence: random.pick([null, 'I love jazz', 'x', 5, '']),
        };
  const changes = Array.from({ length: random.integer(5) }, change);
  const reply = replyText(random);
  const fields = random.chance(0.5) ? { changes, reply } : { reply, changes };
  return { form: 'json', text: JSON.stringify(fields, null, random.integer(3)), reply };
}

function replyText(random: Random): string {
  return `${random.pick(['How was it?', 'Nice', '😀', '"quoted"', 'a <b> c', '日本', '1 < 2', '```js\nx\n```', '\\n'])} ${random.pick(words)}!`;
}

/** Cut off anywhere; if some letters of the reply had come, it has begun. */
function cutOff({ form, text, reply = '' }: GeneratedOutput, random: Random): GeneratedOutput {
  const cut = text.slice(0, random.integer(text.length + 1));
  if (cut === text) return { form, text, reply };
  const opening = form === 'text' ? '<response>\n' : '"reply":';
  const at = text.lastIndexOf(opening) + opening.length;
  return { form, text: cut, ...(cut.length > at + 8 && { begun: reply }) };
}

function repeated(random: Random, text: string): string {
  const at = random.integer(text.length + 1);
  const unit = random.chance(0.5) ? random.pick(debris) : text.slice(at, at + 1 + random.integer(12)) || 'x';
  return (
    text.slice(0, at) + unit.repeat(1 + random.integer(random.chance(0.05) ? 20_000 : 200)) + (random.chance(0.5) ? text.slice(at) : '')
  );
}

function nonsense(random: Random): string {
  const units = Array.from({ length: random.integer(60) }, () =>
    random.chance(0.3) ? random.pick(debris) : String.fromCharCode(random.integer(random.chance(0.5) ? 128 : 65_536)),
  );
  return units.join('');
}

/** Read as Latin-1, as UTF-16, or with the upper halves of characters gone. */
function wrongEncoding(random: Random, text: string): string {
  const bytes = new TextEncoder().encode(text);
  const way = random.integer(4);
  if (way === 0) return Array.from(bytes, (byte) => String.fromCharCode(byte)).join('');
  if (way === 1) return new TextDecoder('utf-16le').decode(bytes);
  if (way === 2) return `\ufeff${text.replace(/[\ud800-\udbff]/g, '')}`;
  return text.split('').join('\0');
}

function edited(random: Random, text: string): string {
  let result = text;
  for (let edits = 1 + random.integer(6); edits > 0; edits--) {
    const at = random.integer(result.length + 1);
    const removed = random.chance(0.5) ? 0 : random.integer(12);
    result = result.slice(0, at) + random.pick(debris) + result.slice(at + removed);
  }
  return result;
}

/** The text in at most this many pieces of random sizes, which may part a character. */
export function chunks(text: string, random: Random, most: number): string[] {
  const cuts = Array.from({ length: random.integer(Math.min(most, text.length + 1)) }, () => random.integer(text.length + 1));
  const places = [0, ...cuts.sort((a, b) => a - b), text.length];
  return places.slice(1).map((place, index) => text.slice(places[index], place));
}
