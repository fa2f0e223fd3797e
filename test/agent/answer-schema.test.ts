import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { answerJsonSchema, profileJsonSchema } from '../../src/agent/structured-answer';
import { ProfileSchema, type SlotDefinition, slot } from '../../src/profile/index';

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
});
