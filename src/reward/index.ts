export {
  type Criterion,
  type CriterionVerdict,
  criteria,
  type JudgeContext,
  type ResponseJudge,
  type TurnReward,
  type Verdict,
} from './verdict';
