import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { changeText, diffProfiles, ProfileSchema, slot } from '../../src/profile/index';
import { Random } from '../../src/random';

const schema = ProfileSchema.define({ occupation: slot.one(z.string()), age: slot.one(z.int()), interests: slot.many(z.string()) });

describe('diffProfiles', () => {
  it('says what was set, added and removed', () => {
    const before = schema.profile({ occupation: 'nurse', age: 29, interests: ['hiking', 'jazz'] });
    const after = schema.profile({ occupation: 'teacher', interests: ['jazz', 'chess'] });
    expect(diffProfiles(before, after)).toEqual([
      { op: 'set', slot: 'occupation', value: 'teacher' },
      { op: 'add', slot: 'interests', value: 'chess' },
      { op: 'remove', slot: 'age', value: 29 },
      { op: 'remove', slot: 'interests', value: 'hiking' },
    ]);
  });

  it('takes another spelling or order of the same values for no change', () => {
    const before = schema.profile({ occupation: 'nurse', interests: ['hiking', 'jazz'] });
    expect(diffProfiles(before, schema.profile({ occupation: 'A Nurse', interests: ['Jazz', 'hiking'] }))).toEqual([]);
  });

  it('leads from any profile to any other', () => {
    const random = new Random(11);
    const words = ['nurse', 'chess', 'jazz', 'hiking', 'tea'];
    const anyProfile = () =>
      schema.profile({
        occupation: random.chance(0.5) ? random.pick(words) : undefined,
        age: random.chance(0.5) ? random.integer(3) : undefined,
        interests: random.sample(words, random.integer(4)),
      });
    for (let i = 0; i < 500; i++) {
      const before = anyProfile();
      const after = anyProfile();
      const reached = before.with(diffProfiles(before, after));
      expect(new Set(reached.items().map(({ key }) => key))).toEqual(new Set(after.items().map(({ key }) => key)));
    }
  });

  it('can be put in words', () => {
    expect(changeText({ op: 'set', slot: 'occupation', value: 'nurse' })).toBe('occupation: set to nurse');
    expect(changeText({ op: 'set', slot: 'interests', value: ['tea', 'jazz'] })).toBe('interests: set to tea; jazz');
    expect(changeText({ op: 'add', slot: 'interests', value: 'tea' })).toBe('interests: added tea');
    expect(changeText({ op: 'remove', slot: 'age' })).toBe('age: removed');
  });
});
