import { normalizeText } from './normalize';

/**
 * The words of English that say nothing about anybody by themselves: pronouns, auxiliaries, prepositions, conjunctions, articles, and the
 * verbs of liking by which nearly every personal fact is told. Negations are not among them: they turn a fact round.
 */
export const functionWords: readonly string[] =
  `a an the this that these those there here it its i me my mine myself you your yours yourself he him his she her hers they them their we us our
  am is are was were be been being do does did doing done have has had having can could will would shall should may might must
  and or but nor so if then than as of at by for with about against between into through to from up down in out on off over under
  when where why how what which who whom whose all any both each few more most other some such own same too very just also even still yet
  already really quite pretty actually always sometimes usually often now lot lots
  i'm you're he's she's it's we're they're i've you've i'd you'd i'll you'll that's what's
  like likes love loves enjoy enjoys favorite favourite`.split(/\s+/);

let normalized: ReadonlySet<string> | undefined;

/** Whether a word is one of them, as `normalizeText` writes it. */
export function isFunctionWord(word: string): boolean {
  normalized ??= new Set(functionWords.map(normalizeText));
  return normalized.has(word);
}
