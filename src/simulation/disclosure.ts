import { contentWords, sentences } from '../language/index';
import { normalizedText, normalizeText, type ProfileItem } from '../profile/index';

/** Of a value with more than two content words, this share has to be said; of a shorter one, every word. */
const requiredShare = 2 / 3;

/**
 * Which of the items a message discloses: those whose content words it has, as whole words (`contentWords` of the normalised text,
 * so inflection and the spelling of numbers do not matter). It errs on the side of disclosure: "I am not a nurse" tells `nurse`.
 */
export function disclosedItems(message: string, items: readonly ProfileItem[]): ProfileItem[] {
  const normalized = normalizeText(message);
  const said = contentWords(normalized);
  return items.filter((item) => {
    const value = normalizedText(item);
    const words = contentWords(value);
    // A value of function words only, such as "yes", has to be there as it stands.
    if (words.size === 0) return ` ${normalized} `.includes(` ${value} `);
    const present = [...words].filter((word) => said.has(word)).length;
    return words.size <= 2 ? present === words.size : present >= requiredShare * words.size;
  });
}

/**
 * The message without the sentences that tell more than the budget allows; sentences are taken in order. When no sentence fits, the
 * one that tells least is all that is left.
 *
 * @param undisclosed the golden items that were not disclosed before
 */
export function trimToBudget(message: string, undisclosed: readonly ProfileItem[], budget: number): string {
  const told = (text: string) => disclosedItems(text, undisclosed).length;
  const parts = sentences(message);
  let kept = '';
  for (const sentence of parts) {
    const longer = kept === '' ? sentence : `${kept} ${sentence}`;
    if (told(longer) <= budget) kept = longer;
  }
  return kept || parts.reduce((least, sentence) => (told(sentence) < told(least) ? sentence : least), parts[0] ?? message);
}
