export { DualReward, type DualRewardOptions, type RewardContext, type RewardCounts } from './dual-reward';
export { type ProfileReward, profileReward } from './profile-reward';
export { passes, type ResponseReward, responseReward } from './response-reward';
export { type RubricJudgeOptions, rubricJudge } from './rubric-judge';
export { type RuleJudgeOptions, ruleJudge } from './rule-judge';
export {
  type Criterion,
  type CriterionVerdict,
  criteria,
  type JudgeContext,
  type ResponseJudge,
  type TurnReward,
  type Verdict,
} from './verdict';
