import { DialogueEnvironment } from '../environment/index';
import { DualReward, responseReward, rubricJudge } from '../reward/index';
import { modelBehaviour, replayBehaviour, SimulatedUser, scriptedBehaviour, type UserBehaviour } from '../simulation/index';
import type { ExperimentOptions, RewardMode } from './experiment';
import { type Setting, schemaOf } from './setting';

export interface EnvironmentOptions {
  readonly turns: number;
  readonly reward: RewardMode;
  /** Factor of the profile reward; 1 by default. */
  readonly profileWeight?: number;
}

type Helpers = Pick<ExperimentOptions, 'people' | 'userModel' | 'judgeModel'>;

/** The decision process of an experiment: who the users are, who judges, and which parts of the reward count. */
export function environmentFor(setting: Setting, helpers: Helpers, options: EnvironmentOptions): DialogueEnvironment {
  return build(setting, helpers, options, userBehaviour(helpers));
}

/** The same with talkative users, for demonstrations: more facts to a dialogue. Judged by rules, and nobody looks at the verdicts. */
export function demonstrationEnvironment(setting: Setting, { people }: Helpers, turns: number): DialogueEnvironment {
  const behaviour = people === 'generated' ? scriptedBehaviour({ volunteering: 0.6 }) : replayBehaviour();
  return build(setting, { people }, { turns, reward: 'profile' }, behaviour);
}

function userBehaviour({ people, userModel }: Helpers): UserBehaviour {
  if (userModel) return modelBehaviour({ model: userModel });
  return people === 'generated' ? scriptedBehaviour() : replayBehaviour();
}

/** A model's calls have deadlines of their own, which begin when it is their turn: this one ends only a wait that has no end. */
const patienceMs = 3_600_000;

function build(
  setting: Setting,
  { judgeModel }: Pick<Helpers, 'people' | 'judgeModel'>,
  { turns, reward, profileWeight = 1 }: EnvironmentOptions,
  behaviour: UserBehaviour,
): DialogueEnvironment {
  return new DialogueEnvironment({
    schema: schemaOf(setting),
    // the paper's evaluation fixes the first message
    user: new SimulatedUser({ behaviour, firstMessage: 'Hello', timeoutMs: patienceMs }),
    reward: new DualReward({
      parts: reward,
      weights: { profile: profileWeight },
      ...(judgeModel && { response: responseReward({ judge: rubricJudge({ model: judgeModel }) }) }),
    }),
    maxTurns: turns,
    history: setting.history,
    instruction: setting.instruction,
    rewardTimeoutMs: patienceMs,
    actionTimeoutMs: patienceMs,
  });
}
