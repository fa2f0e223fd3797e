import { checkKnown, invalidOption } from '../../errors';
import { normalizedText, type Profile, ProfileSchema } from '../../profile/index';
import { Random } from '../../random';
import type { Persona } from '../persona';
import {
  belongings,
  conditions,
  type FamilyValue,
  families,
  genders,
  generalSubjects,
  interests,
  locations,
  maritalStatuses,
  type OccupationValue,
  occupations,
  personalityTraits,
  subjects,
} from './values';

export interface PersonaOptions {
  readonly count: number;
  readonly seed: number;
  /** `train` and `held-out` users never share a combination of values, whatever their seeds. Without a split, anybody is possible. */
  readonly split?: 'train' | 'held-out' | undefined;
  /**
   * The share of the values of every open slot that training users never have and held-out users have as often as any other, so that
   * copying from the dialogue is measured rather than remembering. Default 0.2.
   */
  readonly unseenValues?: number | undefined;
}

const known = { count: true, seed: true, split: true, unseenValues: true } satisfies Record<keyof PersonaOptions, true>;

/** The values that people of one split can have. */
interface Pools {
  readonly occupations: readonly OccupationValue[];
  readonly families: readonly FamilyValue[];
  readonly subjects: readonly string[];
  readonly interests: readonly string[];
  readonly traits: readonly string[];
  readonly locations: readonly string[];
  readonly other: readonly string[];
}

/** Everything that is true of a generated person; the profile holds a part of it. */
interface Person {
  readonly age: number;
  readonly gender: string;
  readonly occupation: string;
  readonly educationBackground?: string;
  readonly maritalStatus: string;
  readonly familyBackground: string;
  readonly location: string;
}

/** One in so many combinations of values belongs to the held-out users. */
const heldOutEvery = 4;

/**
 * Made-up people for the standard schema, with 8 to 12 items each whose values fit together: age, education, occupation, marital
 * status and family. No two have the same profile.
 *
 * @throws `invalid-option` for a count that is not a positive whole number, a split that there is not, a share outside [0, 0.5], or a seed
 * that is no whole number.
 * @example
 * import { generatePersonas } from 'rlpa';
 * const training = generatePersonas({ count: 256, seed: 1, split: 'train' });
 * const heldOut = generatePersonas({ count: 64, seed: 1, split: 'held-out' });
 */
export function generatePersonas(options: PersonaOptions): Persona[] {
  checkKnown('generatePersonas', options, known);
  const { count, seed, split, unseenValues = 0.2 } = options;
  if (!Number.isInteger(count) || count < 1) throw invalidOption('generatePersonas', 'count', 'a whole number of at least 1', count);
  if (split !== undefined && split !== 'train' && split !== 'held-out')
    throw invalidOption('generatePersonas', 'split', "'train' or 'held-out'", split);
  if (!(unseenValues >= 0 && unseenValues <= 0.5))
    throw invalidOption('generatePersonas', 'unseenValues', 'a number in [0, 0.5]', unseenValues);
  const pools = poolsOf(split === 'train' ? unseenValues : 0);
  const random = new Random(seed).split('personas', split ?? 'all');
  const personas: Persona[] = [];
  const combinations = new Set<string>();
  for (let attempt = 0; personas.length < count; attempt++) {
    const profile = generateProfile(pools, random.split(attempt));
    const combination = combinationOf(profile);
    if (combinations.has(combination) || (split && split !== splitOf(combination))) continue;
    combinations.add(combination);
    personas.push({ id: `${split ?? 'persona'}-${seed}-${personas.length + 1}`, profile });
  }
  return personas;
}

/**
 * People whose golden profile changes at a turn (6 in the paper): other interests, and a new job or a new home if the profile has one.
 *
 * @throws as {@link generatePersonas}, and `invalid-option` for a turn below 2.
 */
export function conflictPersonas(options: PersonaOptions & { readonly turn?: number }): Persona[] {
  checkKnown('conflictPersonas', options, { ...known, turn: true });
  const { turn = 6, ...people } = options;
  if (!Number.isInteger(turn) || turn < 2) throw invalidOption('conflictPersonas', 'turn', 'a whole number of at least 2', turn);
  const pools = poolsOf(people.split === 'train' ? (people.unseenValues ?? 0.2) : 0);
  const random = new Random(people.seed).split('conflicts');
  return generatePersonas(people).map((persona) => ({
    ...persona,
    change: { turn, profile: changedProfile(persona.profile, pools, random.split(persona.id)) },
  }));
}

function changedProfile(profile: Profile, pools: Pools, random: Random): Profile {
  const values = ProfileSchema.standard.profile(profile.toJSON()).values;
  const others = pools.interests.filter((interest) => !values.interests.includes(interest));
  const changes = [{ op: 'set' as const, slot: 'interests', value: random.sample(others, values.interests.length) }] as {
    op: 'set';
    slot: string;
    value: unknown;
  }[];
  const age = values.age ?? 40;
  const jobs = suitable(pools.occupations, age).filter(
    ({ value, subjects }) =>
      value !== values.occupation && (!values.educationBackground || (subjects ?? generalSubjects).includes(values.educationBackground)),
  );
  if (values.occupation && jobs.length > 0 && (!values.location || random.chance(0.5))) {
    changes.push({ op: 'set', slot: 'occupation', value: random.pick(jobs).value });
  } else if (values.location) {
    changes.push({ op: 'set', slot: 'location', value: random.pick(pools.locations.filter((city) => city !== values.location)) });
  }
  return profile.with(changes);
}

function generateProfile(pools: Pools, random: Random): Profile {
  const person = generatePerson(pools, random);
  const facts = Object.entries(person).filter(([, value]) => value !== undefined);
  const size = 8 + random.integer(5);
  // Each list has a value, so a policy that asks about it asks in vain only once all is told; single facts are rarely missing.
  const single = Math.min(facts.length, size - 3 - random.integer(2));
  const lists = ['interests', 'traits', 'other', ...random.sample(['interests', 'interests', 'traits', 'other'], size - single - 3)];
  const howMany = (list: string) => lists.filter((name) => name === list).length;
  return ProfileSchema.standard.profile({
    ...Object.fromEntries(random.sample(facts, single)),
    interests: random.sample(pools.interests, howMany('interests')),
    personalityTraits: random.sample(pools.traits, howMany('traits')),
    otherInformation: random.sample(pools.other, howMany('other')),
  });
}

function generatePerson(pools: Pools, random: Random): Person {
  const age = 19 + random.integer(57);
  const occupation = random.pick(suitable(pools.occupations, age));
  const studied = pools.subjects.filter((subject) => (occupation.subjects ?? generalSubjects).includes(subject));
  const family = random.pick(pools.families.filter(({ from }) => age >= from));
  return {
    age,
    gender: random.pick(genders),
    occupation: occupation.value,
    ...(age >= 22 && studied.length > 0 && { educationBackground: random.pick(studied) }),
    maritalStatus: random.pick(maritalStatuses(age, family.children ?? false)),
    familyBackground: family.value,
    location: random.pick(pools.locations),
  };
}

function suitable(pool: readonly OccupationValue[], age: number): readonly OccupationValue[] {
  return pool.filter(({ ages }) => age >= ages[0] && age <= ages[1]);
}

/** Every slot's values without the share that training users never have. Which those are does not depend on any seed. */
function poolsOf(unseen: number): Pools {
  const seen = <T>(slot: string, values: readonly T[]): readonly T[] => {
    const order = new Random(0).split('unseen values', slot).shuffle(values.map((_, index) => index));
    const hidden = new Set(order.slice(0, Math.round(unseen * values.length)));
    return values.filter((_, index) => !hidden.has(index));
  };
  return {
    occupations: seen('occupation', occupations),
    families: seen('familyBackground', families),
    subjects: seen('educationBackground', subjects),
    interests: seen('interests', interests),
    traits: seen('personalityTraits', personalityTraits),
    locations: seen('location', locations),
    other: seen('otherInformation', [...belongings, ...conditions]),
  };
}

/** Of the normalised texts, not of the items' keys: who is held out must not depend on how profiles tell values apart. */
function combinationOf(profile: Profile): string {
  return profile
    .items()
    .map((item) => `${item.slot}:${normalizedText(item)}`)
    .sort()
    .join('|');
}

/** A combination belongs to one split by its hash, so that splits of any seeds and sizes are disjoint. */
function splitOf(combination: string): 'train' | 'held-out' {
  return new Random(0).split('split', combination).integer(heldOutEvery) === 0 ? 'held-out' : 'train';
}
