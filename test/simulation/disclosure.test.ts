import { describe, expect, it } from 'vitest';
import { ProfileSchema } from '../../src/profile/index';
import { disclosedItems, factsSchema, trimToBudget } from '../../src/simulation/index';

const items = ProfileSchema.standard
  .profile({ age: 34, interests: ['chess', 'hiking'], occupation: 'nurse', familyBackground: 'two sisters', location: 'Oslo' })
  .items();
const told = (message: string) => disclosedItems(message, items).map((item) => item.text);

describe('what a message discloses', () => {
  it('is the items whose words it has, whatever their form', () => {
    expect(told('I work as a NURSE in oslo.')).toEqual(['nurse', 'Oslo']);
    expect(told('I went on a hike.')).toEqual(['hiking']);
    expect(told("I'm thirty-four and have 2 sisters.")).toEqual(['34', 'two sisters']);
  });

  it('is nothing where only a part of a word or of a short value stands', () => {
    expect(told('Two nurseries opened here.')).toEqual([]);
    expect(told('My sisters came.')).toEqual([]);
  });

  it('is a whole sentence when two thirds of its content words are said', () => {
    // content words: county, wide, bake, sale, feel, home (6): 4 are enough
    const [fact] = factsSchema.profile({ facts: ['The county wide bake sale is where I feel most at home.'] }).items();
    expect(disclosedItems('You should see the county bake sale, I feel great there.', [fact!])).toHaveLength(1);
    expect(disclosedItems('There is a bake sale in the county.', [fact!])).toHaveLength(0);
  });

  it('is cut to the budget by leaving out sentences', () => {
    expect(trimToBudget('Hi! I am a nurse. I live in Oslo. And you?', items, 1)).toBe('Hi! I am a nurse. And you?');
    expect(trimToBudget('Hi! I am a nurse. I live in Oslo.', items, 0)).toBe('Hi!');
  });

  it('leaves the sentence that tells least when every one tells too much', () => {
    expect(trimToBudget('I am a nurse in Oslo. I play chess.', items, 0)).toBe('I play chess.');
  });
});
