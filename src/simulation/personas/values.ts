/**
 * What generated people can be. Values are one or two common words, so that a tiny model can copy them, and no content word stands
 * in the values of two slots, so that a message discloses exactly what it was meant to.
 */

export interface OccupationValue {
  readonly value: string;
  readonly ages: readonly [from: number, to: number];
  /** What such a person has studied; anything of `generalSubjects` if absent. */
  readonly subjects?: readonly string[];
}

export const occupations: readonly OccupationValue[] = [
  { value: 'nurse', ages: [22, 66], subjects: ['anatomy', 'biology'] },
  { value: 'doctor', ages: [28, 70], subjects: ['medicine'] },
  { value: 'dentist', ages: [27, 68], subjects: ['medicine'] },
  { value: 'lawyer', ages: [27, 70], subjects: ['law'] },
  { value: 'judge', ages: [42, 70], subjects: ['law', 'philosophy'] },
  { value: 'teacher', ages: [24, 67], subjects: ['history', 'languages', 'geography', 'physics', 'literature'] },
  { value: 'pilot', ages: [25, 64], subjects: ['physics', 'geography'] },
  { value: 'engineer', ages: [24, 68], subjects: ['electronics', 'physics'] },
  { value: 'programmer', ages: [22, 66], subjects: ['computing', 'mathematics'] },
  { value: 'architect', ages: [27, 70], subjects: ['architecture', 'design'] },
  { value: 'accountant', ages: [24, 68], subjects: ['economics', 'business'] },
  { value: 'banker', ages: [24, 66], subjects: ['economics', 'business'] },
  { value: 'chemist', ages: [26, 68], subjects: ['chemistry'] },
  { value: 'pharmacist', ages: [26, 68], subjects: ['chemistry', 'medicine'] },
  { value: 'reporter', ages: [23, 67], subjects: ['journalism', 'politics'] },
  { value: 'librarian', ages: [24, 67], subjects: ['literature', 'history'] },
  { value: 'translator', ages: [24, 70], subjects: ['languages', 'literature'] },
  { value: 'detective', ages: [30, 62], subjects: ['law', 'psychology'] },
  { value: 'actor', ages: [20, 75], subjects: ['drama'] },
  { value: 'writer', ages: [23, 79], subjects: ['literature', 'journalism', 'philosophy'] },
  { value: 'tailor', ages: [20, 72], subjects: ['fashion', 'design'] },
  { value: 'farmer', ages: [20, 75], subjects: ['agriculture', 'biology'] },
  { value: 'florist', ages: [20, 70], subjects: ['biology', 'business', 'design'] },
  { value: 'baker', ages: [18, 66] },
  { value: 'waiter', ages: [18, 62] },
  { value: 'cashier', ages: [18, 66] },
  { value: 'barber', ages: [19, 70] },
  { value: 'driver', ages: [21, 67] },
  { value: 'plumber', ages: [20, 66] },
  { value: 'carpenter', ages: [20, 67] },
  { value: 'electrician', ages: [21, 66] },
  { value: 'mechanic', ages: [19, 66] },
  { value: 'butcher', ages: [19, 67] },
  { value: 'firefighter', ages: [21, 58] },
  { value: 'soldier', ages: [18, 54] },
];

/** What people without a trained profession may have studied. */
export const generalSubjects = [
  'business',
  'history',
  'geography',
  'literature',
  'languages',
  'sociology',
  'psychology',
  'philosophy',
  'politics',
  'marketing',
  'economics',
  'archaeology',
  'astronomy',
] as const;

export const interests = [
  'chess',
  'hiking',
  'jazz',
  'poker',
  'yoga',
  'cooking',
  'fishing',
  'knitting',
  'surfing',
  'tennis',
  'soccer',
  'golf',
  'running',
  'cycling',
  'swimming',
  'dancing',
  'skiing',
  'camping',
  'pottery',
  'poetry',
  'opera',
  'karate',
  'rugby',
  'boxing',
  'climbing',
  'baking',
  'sailing',
  'bowling',
  'cricket',
  'hockey',
  'puzzles',
  'comics',
  'movies',
  'gaming',
  'sewing',
  'archery',
  'rowing',
  'skating',
  'photography',
  'gardening',
] as const;

export const personalityTraits = [
  'calm',
  'funny',
  'shy',
  'curious',
  'honest',
  'patient',
  'brave',
  'creative',
  'loyal',
  'cheerful',
  'careful',
  'generous',
  'stubborn',
  'quiet',
  'lazy',
  'friendly',
  'serious',
  'clever',
  'gentle',
  'confident',
  'organized',
  'dreamy',
  'sociable',
  'modest',
  'polite',
  'energetic',
  'thoughtful',
  'moody',
  'practical',
  'romantic',
] as const;

export const locations = [
  'Oslo',
  'Paris',
  'Rome',
  'Tokyo',
  'Lima',
  'Cairo',
  'London',
  'Berlin',
  'Madrid',
  'Dublin',
  'Boston',
  'Chicago',
  'Denver',
  'Seattle',
  'Toronto',
  'Sydney',
  'Vienna',
  'Prague',
  'Athens',
  'Lisbon',
  'Delhi',
  'Seoul',
  'Nairobi',
  'Havana',
  'Milan',
  'Munich',
  'Glasgow',
  'Geneva',
  'Kyoto',
  'Dallas',
] as const;

export interface FamilyValue {
  readonly value: string;
  /** Youngest age at which it is plausible. */
  readonly from: number;
  /** Has children of their own, so is or was with somebody. */
  readonly children?: true;
}

export const families: readonly FamilyValue[] = [
  { value: 'one brother', from: 18 },
  { value: 'two brothers', from: 18 },
  { value: 'three brothers', from: 18 },
  { value: 'four brothers', from: 18 },
  { value: 'one sister', from: 18 },
  { value: 'two sisters', from: 18 },
  { value: 'three sisters', from: 18 },
  { value: 'four sisters', from: 18 },
  { value: 'twin brother', from: 18 },
  { value: 'twin sister', from: 18 },
  { value: 'many cousins', from: 18 },
  { value: 'six cousins', from: 18 },
  { value: 'one niece', from: 22 },
  { value: 'two nieces', from: 24 },
  { value: 'one nephew', from: 22 },
  { value: 'two nephews', from: 24 },
  { value: 'one son', from: 27, children: true },
  { value: 'two sons', from: 30, children: true },
  { value: 'three sons', from: 33, children: true },
  { value: 'one daughter', from: 27, children: true },
  { value: 'two daughters', from: 30, children: true },
  { value: 'three daughters', from: 33, children: true },
  { value: 'twin sons', from: 28, children: true },
  { value: 'twin daughters', from: 28, children: true },
  { value: 'one grandson', from: 56, children: true },
  { value: 'two grandsons', from: 58, children: true },
];

/** Things and animals that one has. */
export const belongings = [
  'dog',
  'cat',
  'parrot',
  'hamster',
  'rabbit',
  'horse',
  'turtle',
  'goldfish',
  'canary',
  'piano',
  'guitar',
  'violin',
  'accordion',
  'trumpet',
  'boat',
  'canoe',
  'motorbike',
  'scooter',
  'tractor',
  'caravan',
  'telescope',
  'drone',
  'cabin',
  'greenhouse',
] as const;

/** Facts that one is. */
export const conditions = ['vegetarian', 'vegan', 'bilingual', 'colorblind', 'dyslexic', 'diabetic'] as const;

export const genders = ['male', 'female'] as const;

/** Every subject that somebody may have studied. */
export const subjects: readonly string[] = [
  ...new Set([...generalSubjects, ...occupations.flatMap((occupation) => occupation.subjects ?? [])]),
];

/** How plausible each marital status is at an age, with and without children. */
export function maritalStatuses(age: number, children: boolean): readonly string[] {
  const statuses: string[] = [];
  if (!children) statuses.push('single');
  if (age >= 22) statuses.push('married');
  if (age >= 22 && age <= 50 && !children) statuses.push('engaged');
  if (age >= 28) statuses.push('divorced');
  if (age >= 50) statuses.push('widowed');
  return statuses;
}
