import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { strictSchema } from '../../src/chat/strict-schema';
import { strictRefusal } from './openai-strict';

const object = (properties: object, more: object = {}) => ({
  type: 'object',
  properties,
  required: Object.keys(properties),
  additionalProperties: false,
  ...more,
});
const text = { type: 'string' };

/** As the value of the only property, for the root has to be an object. */
const inObject = (value: unknown) => strictSchema(object({ value }));

describe('the strict form of a JSON Schema', () => {
  it.each([
    [
      'texts, numbers, truths and null',
      object({ a: text, b: { type: 'number' }, c: { type: 'boolean' }, d: { type: ['string', 'null'] } }),
    ],
    ['lists, and objects in them', object({ list: { type: 'array', items: object({ a: text }) } })],
    ['values that are listed', object({ a: { type: 'string', enum: ['x', 'y'] }, b: { type: 'string', const: 'z' } })],
    ['what says what is meant', object({ a: { ...text, description: 'first' } }, { description: 'all' })],
    ['an object without properties', object({ none: object({}) })],
    [
      'a type that holds itself',
      object({ a: { $ref: '#/$defs/a' } }, { $defs: { a: object({ next: { anyOf: [{ $ref: '#/$defs/a' }, { type: 'null' }] } }) } }),
    ],
    ['a whole that holds itself', object({ children: { type: 'array', items: { $ref: '#' } } })],
    ['properties that are called as keywords are', object({ pattern: text, anyOf: text, properties: object({ type: text }), allOf: text })],
  ])('is the schema itself: %s', (_, schema) => {
    expect(strictSchema(schema)).toEqual(schema);
    expect(strictRefusal(schema)).toBeUndefined();
  });

  it('closes objects that leave open whether there is more in them', () => {
    const open = {
      type: 'object',
      properties: { home: { type: 'object', properties: { street: text }, required: ['street'] } },
      required: ['home'],
    };
    expect(strictSchema(open)).toEqual(object({ home: object({ street: text }) }));
  });

  it.each([
    ['a number', { type: 'number', minimum: 0, exclusiveMaximum: 9, multipleOf: 2 }, { type: 'number' }],
    ['a text', { ...text, minLength: 1, maxLength: 9, pattern: '^a', format: 'date', default: 'a', title: 'A' }, text],
    ['a list', { type: 'array', items: text, minItems: 1, uniqueItems: true }, { type: 'array', items: text }],
    ['a reference', { $ref: '#', description: 'again' }, { $ref: '#' }],
  ])('leaves out what else is asked of %s', (_, value, strict) => {
    expect(inObject(value)).toEqual(object({ value: strict }));
  });

  it.each([
    ['a property may be left out', { type: 'object', properties: { a: text, b: text }, required: ['a'] }],
    ['none of the properties is asked for', { type: 'object', properties: { a: text } }],
    ['other properties may be there', object({ a: text }, { additionalProperties: true })],
    ['other properties may be there, of a type', object({ a: text }, { additionalProperties: text })],
    ['the names of properties are not known', { type: 'object', additionalProperties: text }],
    ['nothing is said of properties', { type: 'object', properties: {} }],
    ['any value will do', {}],
    ['any value of a list will do', { type: 'array' }],
    ['values are listed without a type', { enum: ['a', 1] }],
    ['a list has a type for each place', { type: 'array', prefixItems: [text], items: { type: 'number' } }],
    ['all of several schemas hold', { type: 'string', allOf: [{ pattern: '^a' }, { pattern: 'b$' }] }],
    ['one schema depends on another', object({ a: text }, { if: { properties: { a: { const: 'x' } } }, else: { required: ['b'] } })],
    ['a choice is one of an object with more to it', object({ a: text }, { anyOf: [{ required: ['a'] }] })],
    ['a reference leads nowhere', { $ref: '#/$defs/none' }],
    ['a reference leads out', { $ref: 'https://example.org/schema' }],
    ['it is deep within', object({ list: { type: 'array', items: { anyOf: [text, { type: 'object' }] } } })],
    ['it is no schema', 'text'],
  ])('is not there where %s', (_, value) => {
    expect(inObject(value)).toBeUndefined();
  });

  it.each([
    ['a list', { type: 'array', items: text }],
    ['a choice', { anyOf: [object({ a: text }), object({ b: text })] }],
    ['a choice among objects', { type: 'object', anyOf: [object({ a: text }), object({ b: text })] }],
    ['a definition that has no strict form', object({ a: { $ref: '#/$defs/a' } }, { $defs: { a: { type: 'object' } } })],
  ])('is not there where the whole is %s', (_, schema) => {
    expect(strictSchema(schema)).toBeUndefined();
  });

  const tagged = (tag: object, more: object = {}) => object({ tag, ...more });
  const a = { type: 'string', const: 'a' };
  it.each([
    ['the name of the first property', [object({ a: text, c: text }), object({ b: text, c: text })], true],
    ['its value', [tagged(a), tagged({ type: 'string', enum: ['b', 'c'] }), { type: 'null' }], true],
    ['a value that two have', [tagged(a, { b: text }), tagged({ type: 'string', enum: ['b', 'a'] })], false],
    ['a value that may be any for one', [tagged(a), tagged(text)], false],
    ['the second property alone', [object({ x: text, tag: a }), object({ x: text, tag: { type: 'string', const: 'b' } })], false],
    ['nothing, within one choice of the choices', [{ anyOf: [tagged(a), text] }, { anyOf: [tagged(a), { type: 'null' }] }], false],
    ['nothing, where a reference is followed', [{ $ref: '#/$defs/tagged' }, tagged(a)], false],
  ])('knows whether a choice of objects is decided: by %s', (_, choices, decided) => {
    for (const keyword of ['anyOf', 'oneOf']) {
      const schema = object({ value: { [keyword]: choices } }, { $defs: { tagged: tagged(a) } });
      const strict = strictSchema(schema);
      expect(strict !== undefined).toBe(decided);
      expect(strictRefusal({ ...schema, properties: { value: { anyOf: choices } } }) === undefined).toBe(decided);
      if (strict) expect(strict.properties).toEqual({ value: { anyOf: choices } });
    }
  });

  const person = z.object({
    name: z.string(),
    get children() {
      return z.array(person);
    },
  });
  it.each<[string, z.ZodType, unknown]>([
    ['a text with bounds', z.string().min(1).max(80), 'Ann'],
    ['a text by a pattern', z.string().regex(/^\d{5}$/), '28195'],
    ['an email address', z.email(), 'ann@example.org'],
    ['a date', z.iso.date(), '2024-05-31'],
    ['a whole number', z.int().min(0).max(130), 40],
    ['a choice of texts', z.enum(['morning', 'evening']), 'evening'],
    ['a choice of numbers', z.literal([1, 2]), 2],
    ['a text or null', z.string().nullable(), null],
    ['a list with bounds', z.array(z.string()).min(1).max(3), ['a']],
    ['nested objects', z.object({ home: z.object({ street: z.string() }), since: z.int() }), { home: { street: 'Elm St' }, since: 3 }],
    ['an object in two places', z.array(z.strictObject({ at: z.iso.time() }).meta({ id: 'Time' })), [{ at: '12:30' }]],
    [
      'objects told apart',
      z.discriminatedUnion('pet', [z.object({ pet: z.literal('cat') }), z.object({ pet: z.literal('dog') })]),
      { pet: 'dog' },
    ],
    ['a type that holds itself', person, { name: 'Ann', children: [{ name: 'Bo', children: [] }] }],
  ])('of a type of zod takes the same values: %s', (_, type, value) => {
    const schema = z.toJSONSchema(z.object({ value: type }), { io: 'input' });
    const strict = strictSchema(schema)!;
    expect(strictRefusal(strict)).toBeUndefined();
    const read = z.fromJSONSchema(strict as Parameters<typeof z.fromJSONSchema>[0]);
    expect(read.safeParse({ value }).error).toBeUndefined();
    expect(read.safeParse({ value: { other: 1 } }).success).toBe(false);
    expect(read.safeParse({ value, other: 1 }).success).toBe(false);
  });
});
