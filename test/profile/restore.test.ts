import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { ProfileSchema, parseProfileBlock, profileItem, slot } from '../../src/profile/index';

const schema = ProfileSchema.define({
  occupation: slot.one(z.string()),
  interests: slot.many(z.string()),
  codes: slot.many(z.string(), { matching: 'exact' }),
  facts: slot.many(z.string(), { matching: 'fuzzy' }),
  health: slot.many(z.string(), { sensitive: true }),
});

describe('schema.restore', () => {
  it('makes a profile of the items of another, the same in everything', () => {
    const profile = schema.profile({ occupation: 'nurse', interests: ['jazz', 'tea'], codes: ['a', 'A'], health: ['asthma'] }, 7);
    const { profile: restored, refused } = schema.restore(profile.items(), 7);
    expect(restored.values).toEqual(profile.values);
    expect(restored.items()).toEqual(profile.items());
    expect(restored.version).toBe(7);
    expect(refused.size).toBe(0);
  });

  it('says which items are not in force, and why', () => {
    const items = [
      profileItem('occupation', 'nurse'),
      profileItem('occupation', 'teacher'),
      profileItem('interests', 'jazz'),
      profileItem('interests', 'Jazz'),
      profileItem('interests', 7),
      profileItem('shoeSize', 43),
    ];
    const { profile, refused } = schema.restore(items);
    expect(profile.toJSON()).toEqual({ occupation: 'teacher', interests: ['jazz'] });
    expect([...refused].map(([item, reason]) => [item.slot, item.value, reason])).toEqual([
      ['occupation', 'nurse', expect.stringContaining('later')],
      ['interests', 'Jazz', expect.stringContaining('already')],
      ['interests', 7, expect.stringContaining('string')],
      ['shoeSize', 43, expect.stringContaining('no such slot')],
    ]);
  });
});

describe('what is the same in a slot', () => {
  it('is said by its matching', () => {
    const profile = schema.profile({ interests: ['jazz'], codes: ['jazz'], facts: ['plays modern jazz', 'has a cat'] });
    const add = (slot: 'interests' | 'codes' | 'facts', value: string) => profile.with([{ op: 'add', slot, value }]).values[slot];
    expect(add('interests', 'JAZZ')).toEqual(['jazz']);
    expect(add('codes', 'JAZZ')).toEqual(['jazz', 'JAZZ']);
    expect(add('facts', 'plays jazz music')).toEqual(['plays jazz music', 'has a cat']);
    expect(add('facts', 'has a dog')).toEqual(['plays modern jazz', 'has a cat', 'has a dog']);
    expect(profile.with([{ op: 'remove', slot: 'codes', value: 'JAZZ' }])).toBe(profile);
    expect(profile.with([{ op: 'remove', slot: 'facts', value: 'jazz, modern' }]).values.facts).toEqual(['has a cat']);
  });
});

describe('a part of a profile', () => {
  it('holds the slots that were picked', () => {
    const profile = schema.profile({ occupation: 'nurse', interests: ['jazz'], health: ['asthma'] }, 3);
    const part = profile.pick(['interests', 'occupation']);
    expect(part.toJSON()).toEqual({ occupation: 'nurse', interests: ['jazz'] });
    expect(part.items().map(({ slot }) => slot)).toEqual(['occupation', 'interests']);
    expect(part.version).toBe(3);
    expect(part.values.health).toEqual([]);
  });
});

describe('parseProfileBlock', () => {
  it('reads a profile that stands alone, or before a response', () => {
    const block = '<profile>\n- Occupation: nurse\n</profile>';
    expect(parseProfileBlock(schema, block)).toMatchObject({ ok: true, profile: { values: { occupation: 'nurse' } } });
    expect(parseProfileBlock(schema, `${block}\n<response>\nnot closed`)).toMatchObject({ ok: true });
  });

  it('says what is wrong with it', () => {
    expect(parseProfileBlock(schema, 'Nurse.')).toMatchObject({ ok: false, problem: { code: 'no-profile' } });
    expect(parseProfileBlock(schema, '<profile>\n- Shoe Size: 43\n</profile>')).toMatchObject({
      ok: false,
      problem: { code: 'unknown-slot' },
    });
  });
});
