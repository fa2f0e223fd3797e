import { checkKnown } from '../errors';
import { ruleJudge } from './rule-judge';
import { criteria, type JudgeContext, type ResponseJudge, type Verdict } from './verdict';

/** R_response: how well the policy answers. */
export interface ResponseReward {
  readonly judge: ResponseJudge;
  /** @throws what the judge throws when it cannot tell. */
  verdict(context: JudgeContext): Promise<Verdict>;
}

/**
 * Five binary criteria by the rules, or by the judge that is given.
 *
 * @example
 * import { type JudgeContext, openAIChat, passes, responseReward, rubricJudge } from 'rlpa';
 * const reward = responseReward({ judge: rubricJudge({ model: openAIChat({ model: 'gpt-4o-mini' }) }) });
 * const score = async (context: JudgeContext) => (passes(await reward.verdict(context)) ? 1 : 0);
 */
export function responseReward(options: { readonly judge?: ResponseJudge } = {}): ResponseReward {
  checkKnown('responseReward', options, { judge: true });
  const { judge = ruleJudge() } = options;
  return { judge, verdict: (context) => judge.judge(context) };
}

/** N·R·L·G·F: whether all five criteria pass. */
export function passes(verdict: Verdict): boolean {
  return criteria.every((criterion) => verdict[criterion].pass);
}
