import { describe, expect, expectTypeOf, it } from 'vitest';
import { z } from 'zod';
import type { ValueType } from '../../src/agent-entry';
import { RlpaError } from '../../src/errors';
import { type Profile, ProfileSchema, type ProfileValues, parseTurn, slot, wholeNumber } from '../../src/profile/index';

const schema = ProfileSchema.define({
  occupation: slot.one(z.string()),
  interests: slot.many(z.string(), { description: 'what they like to do' }),
  age: slot.one(z.int().min(0)),
  smoker: slot.one(z.boolean(), { sensitive: true, label: 'Smokes' }),
  other: slot.open(),
});

function refusal(act: () => unknown): { code: string; message: string } {
  try {
    act();
  } catch (error) {
    if (RlpaError.isInstance(error)) return { code: error.code, message: error.message };
    throw error;
  }
  throw new Error('nothing was thrown');
}

describe('ProfileSchema', () => {
  it('labels slots by their keys unless told otherwise', () => {
    expect(ProfileSchema.standard.slots.educationBackground.label).toBe('Education Background');
    expect(schema.slots.smoker.label).toBe('Smokes');
    expect(schema.slotNames).toEqual(['occupation', 'interests', 'age', 'smoker', 'other']);
    expect(schema.slots.other).toMatchObject({ cardinality: 'many', open: true, sensitive: false });
  });

  it('finds a slot by label or key, however it is written', () => {
    for (const name of ['Education Background', 'education  background', 'educationBackground', 'EDUCATION_BACKGROUND']) {
      expect(ProfileSchema.standard.slotByLabel(name)?.key).toBe('educationBackground');
    }
    expect(schema.slotByLabel('constructor')).toBeUndefined();
  });

  it('has the ten slots of the paper as its standard', () => {
    const { slots } = ProfileSchema.standard;
    expect(Object.values(slots).map(({ label }) => label)).toEqual([
      'Age',
      'Gender',
      'Interests',
      'Education Background',
      'Personality Traits',
      'Occupation',
      'Marital Status',
      'Family Background',
      'Location',
      'Other Information',
    ]);
    expect([slots.interests, slots.personalityTraits, slots.otherInformation].map(({ cardinality }) => cardinality)).toEqual([
      'many',
      'many',
      'many',
    ]);
  });

  it('refuses no slots, empty and doubled labels, impossible keys, and types that are none', () => {
    expect(refusal(() => ProfileSchema.define({})).code).toBe('invalid-schema');
    expect(refusal(() => ProfileSchema.define({ job: slot.one(z.string(), { label: '' }) })).code).toBe('invalid-schema');
    const silent = { safeParse: () => ({ success: true }), toJSONSchema: () => undefined } as never;
    expect(refusal(() => ProfileSchema.define({ job: slot.one(silent) })).message).toMatch(
      /^Slot "job": its type cannot tell its JSON Schema/,
    );
    expect(refusal(() => ProfileSchema.define({ job: slot.one(z.string(), { label: 'a: b' }) })).code).toBe('invalid-schema');
    const twice = refusal(() => ProfileSchema.define({ job: slot.one(z.string()), work: slot.one(z.string(), { label: 'Job' }) }));
    expect(twice).toMatchObject({ code: 'invalid-schema', message: expect.stringContaining('"work"') });
    expect(refusal(() => ProfileSchema.define({ 'a b': slot.one(z.string()) })).code).toBe('invalid-schema');
    expect(refusal(() => ProfileSchema.define({ job: slot.one('string' as never) }))).toMatchObject({
      code: 'invalid-schema',
      message: 'Slot "job": expected a type of zod 4.2 or later (not zod/mini), text or wholeNumber(…), found "string".',
    });
    expect(refusal(() => ProfileSchema.define({ job: z.string() as never })).code).toBe('invalid-schema');
  });

  it('refuses options that slots do not have: a slip must not make a sensitive slot an open one', () => {
    // @ts-expect-error a slip of the pen
    const misspelt = refusal(() => ProfileSchema.define({ health: slot.many(z.string(), { sensitiv: true }) }));
    expect(misspelt).toMatchObject({ code: 'invalid-schema', message: expect.stringContaining('"sensitiv"') });
    // @ts-expect-error no way of matching
    const unmatched = refusal(() => ProfileSchema.define({ job: slot.one(z.string(), { matching: 'loose' }) }));
    expect(unmatched).toMatchObject({ code: 'invalid-schema', message: expect.stringContaining('"loose"') });
    expect(refusal(() => wholeNumber(5, 1)).message).toBe('There is no whole number from 5 to 1.');
    expect(refusal(() => wholeNumber(0.2, 0.8)).code).toBe('invalid-schema');
  });

  it('has slots of text and of whole numbers that take and describe what zod’s do', () => {
    const own = ProfileSchema.standard;
    const zods = ProfileSchema.define({ age: slot.one(z.int().min(0).max(130)), gender: slot.one(z.string()) });
    for (const value of [0, 34, 130, -1, 131, 1.5, '34', ' nurse ', '', true, null, undefined, [], {}, Number.NaN, 2 ** 60]) {
      for (const key of ['age', 'gender'] as const) {
        const [reading, expected] = [own.read(key, value), zods.read(key, value)];
        expect([value, reading.ok, reading.ok && reading.value]).toEqual([value, expected.ok, expected.ok && expected.value]);
      }
    }
    expect(own.jsonSchema().properties).toMatchObject(zods.jsonSchema().properties as object);
    expect(own.read('age', 131)).toEqual({ ok: false, reason: 'expected a whole number from 0 to 130, found 131' });
    expect(own.read('gender', 7)).toEqual({ ok: false, reason: 'expected a text, found 7' });
  });

  it('takes any type that reads a value and describes what it reads', () => {
    const email: ValueType<string> = {
      safeParse: (value) =>
        typeof value === 'string' && value.includes('@')
          ? { success: true, data: value }
          : { success: false, error: { issues: [{ message: 'expected an email address' }] } },
      toJSONSchema: () => ({ type: 'string', format: 'email' }),
    };
    const contacts = ProfileSchema.define({ email: slot.one(email) });
    expectTypeOf<ProfileValues<typeof contacts>['email']>().toEqualTypeOf<string | undefined>();
    expect(contacts.read('email', 'ann')).toEqual({ ok: false, reason: 'expected an email address, found "ann"' });
    expect(contacts.profile({ email: 'ann@example.org' }).values.email).toBe('ann@example.org');
    expect(contacts.jsonSchema().properties).toEqual({ email: { title: 'Email', type: 'string', format: 'email' } });
  });

  it('describes its values as JSON Schema', () => {
    expect(schema.jsonSchema()).toMatchObject({
      type: 'object',
      additionalProperties: false,
      properties: {
        occupation: { type: 'string', title: 'Occupation' },
        interests: { type: 'array', items: { type: 'string' }, description: 'what they like to do' },
        age: { type: 'integer', minimum: 0 },
        smoker: { type: 'boolean' },
      },
    });
  });

  it('gives a JSON Schema that the caller may change', () => {
    const described = schema.jsonSchema() as { properties: { age: Record<string, unknown> } };
    described.properties.age.minimum = 18;
    expect(schema.jsonSchema()).toMatchObject({ properties: { age: { minimum: 0 } } });
  });

  it('gives a JSON Schema whose references resolve from its root, and no `$defs` where nothing refers to any', () => {
    const address = z.object({ street: z.string() }).meta({ id: 'Address' });
    const named = ProfileSchema.define({ home: slot.one(address), office: slot.one(z.object({ at: address })) });
    const values = z.fromJSONSchema(named.jsonSchema() as Parameters<typeof z.fromJSONSchema>[0]);
    expect(values.safeParse({ home: { street: 'Elm St' }, office: { at: { street: 'High St' } } }).success).toBe(true);
    expect(values.safeParse({ office: { at: {} } }).success).toBe(false);
    expect(schema.jsonSchema()).not.toHaveProperty('$defs');
  });

  it('infers the types of values from the slots', () => {
    type Values = ProfileValues<typeof schema>;
    expectTypeOf<Values['occupation']>().toEqualTypeOf<string | undefined>();
    expectTypeOf<Values['age']>().toEqualTypeOf<number | undefined>();
    expectTypeOf<Values['smoker']>().toEqualTypeOf<boolean | undefined>();
    expectTypeOf<Values['interests']>().toEqualTypeOf<readonly string[]>();
    expectTypeOf<Values['other']>().toEqualTypeOf<readonly string[]>();
    const profile = schema.profile({ age: 29 });
    expectTypeOf(profile.values.age).toEqualTypeOf<number | undefined>();
    expectTypeOf(profile).toExtend<Profile>();
    expectTypeOf(schema).toExtend<ProfileSchema>();
    // @ts-expect-error a slot that the schema does not have
    expect(() => schema.profile({ ocupation: 'nurse' })).toThrow();
    // @ts-expect-error a list slot takes a list
    expect(() => schema.profile({ interests: 'hiking' })).toThrow();
  });
});

describe('Profile', () => {
  it('is made of validated values', () => {
    const profile = schema.profile({ occupation: '  nurse ', interests: ['hiking', 'jazz'], age: 29, smoker: false });
    expect(profile.values).toEqual({ occupation: 'nurse', interests: ['hiking', 'jazz'], age: 29, smoker: false, other: [] });
    expect(profile.size).toBe(5);
    expect(profile.version).toBe(0);
    expect(schema.empty().size).toBe(0);
  });

  it('refuses a wrong value with the slot and what was found', () => {
    expect(refusal(() => schema.profile({ age: 'old' as never }))).toMatchObject({
      code: 'invalid-profile',
      message: expect.stringMatching(/"age".*number.*"old"/),
    });
    expect(refusal(() => schema.profile({ occupation: ' ' })).code).toBe('invalid-profile');
    expect(refusal(() => schema.profile({ occupation: 'x'.repeat(1001) })).message).toContain('1000');
    expect(refusal(() => schema.profile({ shoeSize: 43 } as never)).message).toContain('shoeSize');
  });

  it('takes what is valid and reports the rest', () => {
    const { profile, rejected } = schema.safeProfile({ occupation: 'nurse', interests: ['hiking', 7], age: -1, shoeSize: 43 });
    expect(profile.toJSON()).toEqual({ occupation: 'nurse', interests: ['hiking'] });
    expect(rejected.map(({ slot, value }) => [slot, value])).toEqual([
      ['interests', 7],
      ['age', -1],
      ['shoeSize', 43],
    ]);
    expect(schema.safeProfile('nurse').rejected).toHaveLength(1);
  });

  it('survives types whose checks throw, or that make what JSON does not have', () => {
    const fragile = ProfileSchema.define({
      a: slot.one(
        z.string().refine(() => {
          throw new Error('broken check');
        }),
      ),
      b: slot.one(z.string().refine(async () => true)),
      c: slot.one(z.coerce.bigint()),
    });
    const { profile, rejected } = fragile.safeProfile({ a: 'x', b: 'y', c: '3' });
    expect(profile.size).toBe(0);
    expect(rejected.map(({ slot }) => slot)).toEqual(['a', 'b', 'c']);
  });

  it('refuses what a type makes into a value that it does not take, or changes again, and says so', () => {
    const transforming = ProfileSchema.define({
      smokes: slot.one(z.stringbool()),
      kids: slot.one(z.string().transform(Number)),
      cheers: slot.many(z.string().transform((text) => `${text}!`)),
      city: slot.one(z.string().toLowerCase()),
      home: slot.one(z.object({ street: z.string().trim(), floor: z.int().default(0) })),
    });
    const reason = "the slot's type does not take what it makes of a value; use one without a transform";
    const { profile, rejected } = transforming.safeProfile({
      smokes: 'yes',
      kids: '3',
      cheers: ['hooray'],
      city: ' Leeds',
      home: { street: ' High Street' },
    });
    expect(rejected.map(({ slot, reason }) => [slot, reason])).toEqual(['smokes', 'kids', 'cheers'].map((name) => [name, reason]));
    expect(profile.toJSON()).toEqual({ city: 'leeds', home: { street: 'High Street', floor: 0 } });
    const read = parseTurn(transforming, '<profile>\n- Kids: 3\n</profile>\n<response>Hi</response>');
    expect(read).toMatchObject({ ok: false, problem: { code: 'invalid-value', message: `Slot "Kids": ${reason}.` } });
  });

  it('refuses values that would not come back from a store, and says so', () => {
    const lossy = ProfileSchema.define({
      born: slot.one(z.date()),
      places: slot.one(z.map(z.string(), z.int())),
      stay: slot.one(z.object({ from: z.date() })),
      home: slot.one(z.object({ city: z.string() })),
    });
    const values = { born: new Date(0), places: new Map([['Leeds', 1]]), stay: { from: new Date(0) }, home: { city: 'Leeds' } };
    const { profile, rejected } = lossy.safeProfile(values);
    expect(profile.toJSON()).toEqual({ home: { city: 'Leeds' } });
    expect(rejected.map(({ slot }) => slot)).toEqual(['born', 'places', 'stay']);
    for (const { reason } of rejected) expect(reason).toContain('z.iso.date()');
  });

  it('counts each element of a list as one item, and equal values once', () => {
    const profile = schema.profile({ interests: ['hiking', 'Hiking!', 'the jazz'], age: 29, smoker: true });
    expect(profile.items().map(({ slot, text, key }) => [slot, text, key])).toEqual([
      ['interests', 'hiking', 'interests~hiking'],
      ['interests', 'the jazz', 'interests~jazz'],
      ['age', '29', 'age=29'],
      ['smoker', 'yes', 'smoker=yes'],
    ]);
  });

  it('cannot be changed in place', () => {
    const profile = schema.profile({ interests: ['hiking'] });
    expect(() => (profile.values.interests as string[]).push('jazz')).toThrow(TypeError);
    expect(() => Object.assign(profile.values, { age: 3 })).toThrow(TypeError);
  });

  it('makes the next version from changes, and itself from none', () => {
    const profile = schema.profile({ occupation: 'nurse', interests: ['hiking', 'jazz'] });
    const next = profile.with([
      { op: 'set', slot: 'occupation', value: 'teacher' },
      { op: 'add', slot: 'interests', value: 'chess' },
      { op: 'remove', slot: 'interests', value: 'Jazz' },
    ]);
    expect(next.toJSON()).toEqual({ occupation: 'teacher', interests: ['hiking', 'chess'] });
    expect(next.version).toBe(1);
    expect(profile.values.occupation).toBe('nurse');
    expect(next.with([{ op: 'add', slot: 'interests', value: 'Chess' }])).toBe(next);
    expect(next.with([{ op: 'remove', slot: 'occupation', value: 'nurse' }])).toBe(next);
    expect(next.with([{ op: 'remove', slot: 'interests' }]).values.interests).toEqual([]);
    expect(next.with([{ op: 'set', slot: 'interests', value: ['go'] }]).values.interests).toEqual(['go']);
  });

  it('refuses changes that its slots refuse', () => {
    const profile = schema.empty();
    // @ts-expect-error a slot that the schema does not have
    expect(refusal(() => profile.with([{ op: 'set', slot: 'shoeSize', value: 43 }])).code).toBe('invalid-profile');
    // @ts-expect-error a value of another type
    expect(refusal(() => profile.with([{ op: 'set', slot: 'age', value: 'old' }])).message).toContain('"age"');
    // @ts-expect-error "add" to a slot that holds one value
    expect(refusal(() => profile.with([{ op: 'add', slot: 'age', value: 3 }])).message).toContain('"set"');
    // @ts-expect-error an operation that there is not
    const unknown = refusal(() => profile.with([{ op: 'replace', slot: 'age', value: 3 }]));
    expect(unknown.message).toContain('"set", "add" or "remove", found "replace"');
    expect(refusal(() => profile.with([null as never])).code).toBe('invalid-profile');
  });

  it('comes back from its JSON', () => {
    const profile = schema.profile({ occupation: 'nurse', interests: ['hiking'], smoker: false });
    expect(schema.profile(JSON.parse(JSON.stringify(profile))).values).toEqual(profile.values);
  });
});
