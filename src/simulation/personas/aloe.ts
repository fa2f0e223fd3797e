import { checkKnown, RlpaError } from '../../errors';
import { sentences } from '../../language/index';
import { ProfileSchema } from '../../profile/index';
import { Random } from '../../random';
import type { Persona } from '../persona';

/**
 * People described in free text, as in the ALOE data from which the RLPA paper builds its users: two files of JSON strings, one of
 * profiles and one of personalities. Every sentence is one item, under "Other Information" or "Personality Traits"; age, gender
 * and occupation are read off only where the first words say them plainly ("She is a 45-year-old single mother" gives no occupation).
 * Every profile is joined with a personality of the same gender.
 *
 * @throws `invalid-file` with the line for what is no JSON string, and when either file is empty; `invalid-persona` for an empty text.
 */
export function parseAloe(
  profiles: string,
  personalities: string,
  options: { readonly seed?: number } = {},
): { profiles: string[]; personalities: string[]; personas: Persona[] } {
  checkKnown('parseAloe', options, { seed: true });
  const people = readStrings(profiles, 'profile');
  const characters = readStrings(personalities, 'personality');
  const random = new Random(options.seed ?? 0).split('aloe');
  const personas = people.map((text, index): Persona => {
    const gender = genderOf(text);
    const matching = characters.filter((character) => genderOf(character) === gender);
    const character = random.pick(matching.length > 0 ? matching : characters);
    return {
      id: `aloe-${index + 1}`,
      profile: ProfileSchema.standard.profile({
        ...plainFacts(text),
        personalityTraits: sentences(character),
        otherInformation: sentences(text),
      }),
    };
  });
  return { profiles: people, personalities: characters, personas };
}

function plainFacts(text: string): { age?: number; gender?: string; occupation?: string } {
  const gender = genderOf(text);
  const opening = /^(?:He|She) is an? (\d{1,3})-year-old\b/.exec(text);
  // An occupation is certain where it stands right after the age and a relative clause or the end of the sentence follows.
  const occupation =
    /^(?:He|She) is an? \d{1,3}-year-old ((?!single|married|divorced|widowed|retired|engaged|father|mother)[a-z][a-z -]*?)(?: who |\.|, (?:who|an avid)\b)/.exec(
      text,
    )?.[1];
  return {
    ...(opening && { age: Number(opening[1]) }),
    ...(gender && { gender }),
    ...(occupation && occupation.split(' ').length <= 4 && { occupation }),
  };
}

function genderOf(text: string): 'male' | 'female' | undefined {
  if (/^he\b/i.test(text)) return 'male';
  return /^she\b/i.test(text) ? 'female' : undefined;
}

/** JSON strings one after the other: one a line, though lines that hold several occur in the published file. */
function readStrings(text: string, what: 'profile' | 'personality'): string[] {
  const found = text.split(/\r?\n/).flatMap((line, index) => {
    const content = line.trim();
    if (content === '') return [];
    const strings = content.match(/"(?:[^"\\]|\\.)*"/g) ?? [];
    try {
      if (strings.join('') !== content.replace(/(?<=")\s+(?=")/g, '')) throw new SyntaxError('expected JSON strings');
      return strings.map((string) => {
        const value = (JSON.parse(string) as string).trim();
        if (value === '')
          throw new RlpaError('invalid-persona', `Line ${index + 1} of the ${what} file is an empty ${what}.`, { line: index + 1 });
        return value;
      });
    } catch (error) {
      if (RlpaError.isInstance(error)) throw error;
      throw new RlpaError(
        'invalid-file',
        `Line ${index + 1} of the ${what} file is no JSON string; found ${JSON.stringify(content.slice(0, 60))}.`,
        {
          line: index + 1,
        },
        { cause: error },
      );
    }
  });
  if (found.length === 0) throw new RlpaError('invalid-file', `The ${what} file is empty.`);
  return found;
}
