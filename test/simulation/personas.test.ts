import { describe, expect, it } from 'vitest';
import { conflictPersonas, generatePersonas, type Persona } from '../../src/simulation/index';

const openSlots = [
  'interests',
  'educationBackground',
  'personalityTraits',
  'occupation',
  'familyBackground',
  'location',
  'otherInformation',
];
const keys = ({ profile }: Persona) => profile.items().map(({ key }) => key);
const combination = (persona: Persona) => keys(persona).sort().join('|');
const valuesOf = (people: readonly Persona[], slot: string) =>
  new Set(people.flatMap(({ profile }) => profile.items().filter((item) => item.slot === slot)).map(({ text }) => text));

const training = generatePersonas({ count: 1500, seed: 1, split: 'train' });
const heldOut = generatePersonas({ count: 1500, seed: 1, split: 'held-out' });

const unrestricted = generatePersonas({ count: 1500, seed: 1, split: 'train', unseenValues: 0 });

describe('generated personas', () => {
  it('have 8 to 12 items of one or two words', () => {
    expect(new Set(training.map(({ profile }) => profile.size))).toEqual(new Set([8, 9, 10, 11, 12]));
    for (const { profile } of training) for (const { text } of profile.items()) expect(text.split(' ').length).toBeLessThanOrEqual(2);
  });

  it('are the same for the same seed and others for another', () => {
    const made = (seed: number) => generatePersonas({ count: 20, seed }).map(combination);
    expect(made(2)).toEqual(made(2));
    expect(made(2)).not.toEqual(made(3));
  });

  it.each([
    ['split', { split: 'test' }],
    ['seed', { seed: undefined }],
    ['seed', { seed: 1.5 }],
    ['seed', { seed: '1' }],
    ['count', { count: 0 }],
    ['unseenValues', { unseenValues: 0.6 }],
  ])('are not made with a %s that there is not: %j', (option, wrong) => {
    const found = (wrong as Record<string, unknown>)[option];
    const make = () => generatePersonas({ count: 2, seed: 1, ...(wrong as object) });
    expect(make).toThrow(expect.objectContaining({ code: 'invalid-option', details: { option, expected: expect.any(String), found } }));
  });

  it.each(openSlots)('offer at least 20 values of %s to training users', (slot) => {
    expect(valuesOf(training, slot).size).toBeGreaterThanOrEqual(20);
  });

  it('share no combination between training and held-out users, nor among themselves, whatever the seeds', () => {
    const others = generatePersonas({ count: 1500, seed: 77, split: 'train', unseenValues: 0 });
    const seen = new Set([...training, ...others].map(combination));
    expect(seen.size).toBe(3000);
    const held = new Set([...heldOut, ...generatePersonas({ count: 1500, seed: 5, split: 'held-out', unseenValues: 0 })].map(combination));
    expect(held.size).toBe(3000);
    for (const each of held) expect(seen.has(each)).toBe(false);
  });

  it.each(openSlots)('keep about a fifth of the values of %s from training users', (slot) => {
    const seen = valuesOf(training, slot);
    const all = valuesOf(heldOut, slot);
    const unseen = [...all].filter((value) => !seen.has(value));
    expect(unseen.length / all.size).toBeGreaterThan(0.15);
    // A degree is also unseen when all the jobs that need it are.
    expect(unseen.length / all.size).toBeLessThanOrEqual(0.3);
    expect([...all].filter((value) => !valuesOf(unrestricted, slot).has(value))).toEqual([]);
  });

  it('are of a piece: nobody is too young for their job, degree or children', () => {
    for (const { profile } of [...training, ...heldOut]) {
      const { age, occupation, educationBackground, maritalStatus, familyBackground } = profile.values as Record<string, unknown>;
      if (typeof age === 'number') {
        if (occupation === 'doctor') expect(age).toBeGreaterThanOrEqual(28);
        if (educationBackground !== undefined) expect(age).toBeGreaterThanOrEqual(22);
        if (maritalStatus === 'widowed') expect(age).toBeGreaterThanOrEqual(50);
        if (/grandson/.test(String(familyBackground))) expect(age).toBeGreaterThanOrEqual(56);
      }
      if (occupation === 'lawyer' && educationBackground !== undefined) expect(educationBackground).toBe('law');
      if (/sons?$|daughters?$/.test(String(familyBackground))) expect(maritalStatus).not.toBe('single');
    }
  });

  it('refuse a count or a share that makes no sense', () => {
    for (const count of [0, -1, 1.5, Number.NaN]) {
      expect(() => generatePersonas({ count, seed: 1 })).toThrow(expect.objectContaining({ code: 'invalid-option' }));
    }
    expect(() => generatePersonas({ count: 1, seed: 1, unseenValues: 0.9 })).toThrow(expect.objectContaining({ code: 'invalid-option' }));
  });
});

describe('personas in conflict', () => {
  it('have other interests from the turn on, and most a new job or home', () => {
    const people = conflictPersonas({ count: 100, seed: 4, split: 'held-out' });
    let moved = 0;
    for (const { profile, change } of people) {
      expect(change!.turn).toBe(6);
      expect(change!.profile.size).toBe(profile.size);
      const before = new Set(profile.items().map(({ key }) => key));
      const changed = change!.profile.items().filter(({ key }) => !before.has(key));
      expect(change!.profile.items().filter(({ slot, key }) => slot === 'interests' && before.has(key))).toEqual([]);
      moved += changed.filter(({ slot }) => slot === 'occupation' || slot === 'location').length;
    }
    expect(moved).toBeGreaterThan(80);
  });

  it('refuse to change in the first message', () => {
    expect(() => conflictPersonas({ count: 1, seed: 1, turn: 1 })).toThrow(expect.objectContaining({ code: 'invalid-option' }));
  });
});
