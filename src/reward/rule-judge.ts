import { checkKnown, invalidOption, throwIfAborted } from '../errors';
import type { Optional } from '../optional';
import { engagement } from './rules/engagement';
import { informativeness } from './rules/informativeness';
import { logic } from './rules/logic';
import { naturalness } from './rules/naturalness';
import { type RuleBounds, readReply } from './rules/reading';
import { relevance } from './rules/relevance';
import type { ResponseJudge } from './verdict';

export type RuleJudgeOptions = Optional<RuleBounds>;

/**
 * Judges by transparent rules, one for each criterion (see `rules/`), in microseconds and without a model. English only. It sees the
 * golden profile. What it can tell is form and reference, not taste: it is a floor that a good reply clears, made for training
 * small policies and for tests.
 *
 * @throws `invalid-option` for bounds that are not positive.
 * @example
 * import { ProfileSchema, ruleJudge } from 'rlpa';
 * const golden = ProfileSchema.standard.profile({ occupation: 'nurse', location: 'Bremen' });
 * const { relevance } = await ruleJudge().judge({
 *   dialogue: [{ role: 'user', content: 'I am a nurse.' }],
 *   reply: 'A nurse, that keeps you busy. Where do you live?',
 *   golden,
 *   disclosed: golden.items().filter(({ slot }) => slot === 'occupation'),
 * });
 * relevance; // { pass: true, reason: 'asks for the location' }
 */
export function ruleJudge(options: RuleJudgeOptions = {}): ResponseJudge {
  checkKnown('ruleJudge', options, { maxWords: true, maxSentences: true, maxEcho: true });
  const { maxWords = 30, maxSentences = 3, maxEcho = 0.7 } = options;
  const bounds: RuleBounds = { maxWords, maxSentences, maxEcho };
  for (const [name, value] of Object.entries(bounds)) {
    if (!(value > 0)) throw invalidOption('ruleJudge', name, 'a number above 0', value);
  }
  return {
    name: 'rules',
    async judge(context) {
      throwIfAborted(context.signal);
      const reading = readReply(context, bounds);
      return {
        naturalness: naturalness(reading),
        relevance: relevance(reading),
        logic: logic(reading),
        engagement: engagement(reading),
        informativeness: informativeness(reading),
      };
    },
  };
}
