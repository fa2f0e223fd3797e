import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { answerJsonSchema, profileJsonSchema } from '../../src/agent/structured-answer';
import { strictSchema } from '../../src/chat/strict-schema';
import { ProfileSchema, type SlotDefinition, slot } from '../../src/profile/index';
import { strictRefusal } from '../chat/openai-strict';

const address = z.object({ street: z.string() }).meta({ id: 'Address' });
const person = z.object({
  name: z.string(),
  get children() {
    return z.array(person);
  },
});

const schema = ProfileSchema.define({
  place: slot.one(z.object({ home: address, work: address })),
  shop: slot.one(z.object({ at: z.object({ town: z.string() }).meta({ id: 'Address' }) })),
  parent: slot.one(person),
  friends: slot.many(z.object({ best: person })),
  occupation: slot.one(z.string()),
});
const slots = Object.values<SlotDefinition>(schema.slots);

describe('the JSON Schema of an answer', () => {
  it('resolves from its root, whatever names the types of the slots have, and those that hold themselves', () => {
    // zod resolves references as the specification says, and throws where there is nothing
    const answer = z.fromJSONSchema(answerJsonSchema(slots) as Parameters<typeof z.fromJSONSchema>[0]);
    const change = (slot: string, value: unknown, op = 'set') => ({
      changes: [{ op, slot, value, evidence: null }],
      reply: 'Hi',
    });
    const mother = { name: 'Ann', children: [{ name: 'Bo', children: [] }] };
    for (const taken of [
      change('place', { home: { street: 'Elm St' }, work: { street: 'High St' } }),
      change('shop', { at: { town: 'Leeds' } }),
      change('parent', mother),
      change('friends', { best: mother }, 'add'),
      change('occupation', 'nurse'),
    ]) {
      expect(answer.safeParse(taken).error).toBeUndefined();
    }
    for (const refused of [
      change('place', { home: { town: 'Leeds' }, work: { street: 'High St' } }),
      change('shop', { at: { street: 'Elm St' } }),
      change('parent', { name: 'Ann', children: [{ name: 'Bo' }] }),
      change('friends', { best: { name: 'Bo' } }, 'add'),
    ]) {
      expect(answer.safeParse(refused).success).toBe(false);
    }
  });

  it('is that of a list of texts where no slot may be filled: a choice among none is no JSON Schema', () => {
    expect(profileJsonSchema([]).properties).toEqual({ changes: { type: 'array', items: { type: 'string' } } });
    expect(answerJsonSchema([]).required).toEqual(['changes', 'reply']);
  });

  const standard = Object.values<SlotDefinition>(ProfileSchema.standard.slots);
  const typed = Object.values<SlotDefinition>(
    ProfileSchema.define({
      born: slot.one(z.iso.date()),
      email: slot.one(z.email()),
      height: slot.one(z.number().positive()),
      mood: slot.one(z.enum(['good', 'bad'])),
      nicknames: slot.many(z.string().min(2).max(20)),
      home: slot.one(z.object({ street: z.string(), flat: z.object({ floor: z.int(), door: z.string().nullable() }) })),
      pets: slot.many(
        z.discriminatedUnion('kind', [z.object({ kind: z.literal('cat') }), z.object({ kind: z.literal('dog'), name: z.string() })]),
      ),
      days: slot.one(z.array(z.enum(['Mon', 'Tue'])).min(1)),
    }).slots,
  );

  it.each<readonly [string, readonly SlotDefinition[]]>([
    ['of no slot', []],
    ...standard.map((slot) => [`of the standard slot ${slot.key}`, [slot]] as const),
    ['of all standard slots', standard],
    ...typed.map((slot) => [`of the slot ${slot.key}`, [slot]] as const),
    ['of slots of every kind', [...typed, ...slots]],
  ])('has a strict form, which keeps the rules of OpenAI and Azure: %s', (_, slots) => {
    for (const schema of [answerJsonSchema(slots), profileJsonSchema(slots)]) {
      const strict = strictSchema(schema);
      expect(strict && strictRefusal(strict)).toBeUndefined();
      expect(Object.keys(strict?.properties ?? {})).toEqual(Object.keys(schema.properties as object));
    }
  });

  it('takes in its strict form what it takes as it is', () => {
    const answer = z.fromJSONSchema(strictSchema(answerJsonSchema(typed)) as Parameters<typeof z.fromJSONSchema>[0]);
    const takes = (slot: string, op: string, value: unknown) =>
      answer.safeParse({ changes: [{ slot, op, value, evidence: null }], reply: 'Hi' }).success;
    expect(takes('born', 'set', '2024-05-31')).toBe(true);
    expect(takes('born', 'remove', null)).toBe(true);
    expect(takes('born', 'add', '2024-05-31')).toBe(false);
    expect(takes('mood', 'set', 'fair')).toBe(false);
    expect(takes('home', 'set', { street: 'Elm St', flat: { floor: 3, door: null } })).toBe(true);
    expect(takes('home', 'set', { street: 'Elm St', flat: { floor: 3 } })).toBe(false);
    expect(takes('home', 'set', { street: 'Elm St', flat: { floor: 3, door: null, bell: 'x' } })).toBe(false);
    expect(takes('pets', 'add', { kind: 'dog', name: 'Rex' })).toBe(true);
    expect(takes('pets', 'add', { kind: 'cat', name: 'Tom' })).toBe(false);
    expect(takes('days', 'set', ['Mon'])).toBe(true);
  });

  it.each([
    ['with a property that may be left out', z.object({ name: z.string(), breed: z.string().optional() })],
    ['with a default', z.object({ name: z.string().default('Rex') })],
    ['with more properties than are named', z.looseObject({ name: z.string() })],
    ['with more properties of a type', z.object({ name: z.string() }).catchall(z.number())],
    ['with properties of any name', z.record(z.string(), z.number())],
    ['that is anything', z.any()],
    ['with a type for each place of a list', z.tuple([z.string(), z.number()])],
    ['that is one of objects which begin alike', z.union([z.object({ name: z.string() }), z.object({ name: z.string(), age: z.int() })])],
  ])('has no strict form where one slot is of a type %s', (_, type) => {
    const { pet } = ProfileSchema.define({ pet: slot.one(type as z.ZodType) }).slots;
    expect(strictSchema(answerJsonSchema([...standard, pet]))).toBeUndefined();
  });
});
