import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import {
  fuzzyMatcher,
  normalizedMatcher,
  ProfileSchema,
  profileF1,
  profileItem,
  type SlotOptions,
  schemaMatcher,
  slot,
} from '../../src/profile/index';

const named = z.enum(['a', 'b']).meta({ id: 'Named' });

describe('the matching of a slot', () => {
  it.each([
    ['a list of texts', z.enum(['<50k', '>50k'])],
    ['one text', z.literal('<50k')],
    ['texts listed one by one', z.literal('<50k').or(z.literal('>50k'))],
    ['a list that has a name', named],
    ['a format', z.email()],
    ['a URL', z.url()],
    ['a date', z.iso.date()],
    ['a format, or nothing', z.email().nullable()],
    ['a format, or a number', z.int().or(z.email())],
    ['a list that has a name, or a format', named.or(z.url())],
  ])('is exact by default where its type has %s', (_, type) => {
    expect(ProfileSchema.define({ it: slot.one<unknown>(type) }).slots.it.matching).toBe('exact');
  });

  it.each([
    ['texts', z.string()],
    ['texts of some length', z.string().min(2).max(40)],
    ['texts that it tidies', z.string().trim().toLowerCase()],
    ['texts, some of which it lists', z.enum(['yes', 'no']).or(z.string())],
    ['texts that are not blank', z.string().regex(/\S/)],
    ['texts with an @', z.string().includes('@')],
    ['texts that begin as a name does', z.string().startsWith('A').uppercase()],
    ['whatever there is', z.any()],
    ['numbers', z.int()],
    ['objects', z.object({ mail: z.email() })],
  ])('goes by the normalised text by default where its type takes %s', (_, type) => {
    expect(ProfileSchema.define({ it: slot.one<unknown>(type) }).slots.it.matching).toBe('normalized');
  });

  it('is another one where it is asked for', () => {
    const loose = ProfileSchema.define({ mails: slot.many(z.email(), { matching: 'normalized' }) });
    expect(loose.profile({ mails: ['ann@x.com', 'Ann@X.com'] }).size).toBe(1);
    const strict = ProfileSchema.define({ names: slot.many(z.string(), { matching: 'exact' }) });
    expect(strict.profile({ names: ['ann', 'Ann'] }).size).toBe(2);
  });
});

/** What a list holds to which these are added one by one. */
const added = (values: readonly string[], options: SlotOptions = {}) => {
  const schema = ProfileSchema.define({ it: slot.many(z.string(), options) });
  return values.reduce((profile, value) => profile.with([{ op: 'add', slot: 'it', value }]), schema.empty()).values.it;
};
const setAtOnce = (values: readonly string[]) => ProfileSchema.define({ it: slot.many(z.string()) }).profile({ it: values }).values.it;

describe('free text', () => {
  it.each([
    [['Hiking', 'hiking!', 'the hiking', ' HIKING… ', '"hiking"', '(hiking)']],
    [['part-time job', 'Part time job', 'a part–time job.']],
    [['two cats', '2 cats', 'Two  Cats']],
    [['1,000 books', '1000 books']],
    [['I have a dog.', 'I have dog', 'I HAVE A DOG']],
    [['Café', 'café!', 'cafe\u0301', 'the CAFÉ', '“café”']],
    [['C’est la vie à Paris', "c'est la vie à Paris."]],
    [['C++', 'c++.', 'the C++']],
    [['vitamin A', 'Vitamin a!']],
    [['ＮＵＲＳＥ', 'nurse']],
    [['R&B', 'R & B', 'r&b']],
    [['Zürich', 'Zurich']],
    [['he/him', 'he / him']],
    [["80's music", '80s music', '80’s music']],
    [['Dune', '*Dune*', '**Dune**', '`dune`']],
    [['100%', '100 %']],
    [['29.0 years', '29 years']],
    [['护士', '护士。']],
  ])('is the same in another case, spacing, punctuation, with an article or with its numbers as words: %j', (values) => {
    for (const list of [added(values), setAtOnce(values)]) expect(list).toEqual([values[0]!.trim()]);
  });

  it.each([
    [['smith@x.com', 'a.smith@x.com', 'a-smith@x.com', 'a_smith@x.com']],
    [['https://x.com/', 'https://x.com/a', 'https://x.com/a?b']],
    [['<50k', '>50k', '50k', '50k+']],
    [['$50', '€50', '50']],
    [['Python 3.1', 'Python 3.10', 'Python 3', 'Python 31']],
    [['29', '2.9', '2 9']],
    [['C', 'C++', 'C#', 'C/C++']],
  ])('is another where a sign tells it apart: %j', (values) => {
    for (const list of [added(values), setAtOnce(values)]) expect(list).toEqual(values);
  });

  it('is told apart in a fuzzy slot, too, where the new words take the place of the old ones', () => {
    expect(added(['Python 3.1', 'Python 3.10'], { matching: 'fuzzy' })).toEqual(['Python 3.10']);
    expect(added(['Python 3.10', 'python 3.10!'], { matching: 'fuzzy' })).toEqual(['Python 3.10']);
  });

  it('is scored by its words alone, as before it was told apart', async () => {
    const schema = ProfileSchema.define({ it: slot.many(z.string()) });
    const [found, golden] = [schema.profile({ it: ['Python 3.10', 'a cafe'] }), schema.profile({ it: ['Python 3.1', 'Café'] })];
    for (const matcher of [undefined, normalizedMatcher(), fuzzyMatcher()])
      expect((await profileF1(found, golden, { matcher })).f1).toBe(1);
  });
});

it('a schema with listed and free texts compares each slot as it is to be, and no value with every other', async () => {
  const mixed = ProfileSchema.define({ plan: slot.many(z.enum(['free', 'Free!'])), likes: slot.many(z.string()) });
  const matcher = schemaMatcher(mixed);
  const similarity = () => expect.unreachable('values were compared pair by pair');
  const found = mixed.profile({ plan: ['free'], likes: ['hiking', 'jazz'] });
  const golden = mixed.profile({ plan: ['Free!'], likes: ['The Hiking', 'jazz!'] });
  const { precision, recall } = await profileF1(found, golden, { matcher: { ...matcher, similarity } });
  expect([precision, recall]).toEqual([2 / 3, 2 / 3]);
});

describe('a value that is no text', () => {
  const home = z.object({ city: z.string(), tags: z.array(z.string()).optional() });
  const schema = ProfileSchema.define({ heights: slot.many(z.number(), { matching: 'normalized' }), homes: slot.many(home) });

  it('is the same only if it is equal', () => {
    const homes = [{ city: 'Oslo' }, { city: 'Oslo', tags: ['a b'] }, { city: 'Oslo', tags: ['a', 'b'] }, { city: 'Oslo!' }];
    const profile = schema.profile({ heights: [1.7, 17, -17, 1.7], homes: [...homes, { city: 'Oslo' }] });
    expect(profile.values).toEqual({ heights: [1.7, 17, -17], homes });
  });

  it('is found by what its type makes of the one that is to be removed', () => {
    const tidy = ProfileSchema.define({ mails: slot.many(z.email().toLowerCase()), homes: slot.many(home) });
    const profile = tidy.profile({ mails: ['Ann@x.com', 'bob@x.com'], homes: [{ city: 'Oslo', tags: ['home'] }] });
    const after = profile.with([
      { op: 'remove', slot: 'mails', value: ' ANN@x.com' },
      { op: 'remove', slot: 'homes', value: { tags: ['home'], city: 'Oslo' } },
    ]);
    expect(after.toJSON()).toEqual({ mails: ['bob@x.com'] });
  });
});

describe('an item that was kept', () => {
  it('has the key of the present matching, and says so where it had another', () => {
    const schema = ProfileSchema.define({ skills: slot.many(z.string()), plan: slot.one(z.enum(['free', 'Free+'])) });
    const stored = [profileItem('skills', 'Python 3.1'), profileItem('skills', 'Python 3.10'), profileItem('plan', 'Free+')];
    const { profile, refused, rekeyed } = schema.restore(stored);
    expect(profile.values).toEqual({ skills: ['Python 3.1', 'Python 3.10'], plan: 'Free+' });
    expect(refused.size).toBe(0);
    expect([...rekeyed.values()]).toEqual(profile.items().map(({ key }) => key));
    expect(schema.restore(profile.items()).rekeyed.size).toBe(0);
  });
});
