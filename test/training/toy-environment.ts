import type { Episode, EpisodeTurn } from '../../src/environment/index';
import type { PolicyAction } from '../../src/policy/policy';
import type { Profile } from '../../src/profile/index';
import { Random } from '../../src/random';
import type { TurnReward } from '../../src/reward/index';
import type { Persona } from '../../src/simulation/index';
import type { RolloutEnvironment, RolloutRequest } from '../../src/training/index';

const nobody = {} as Profile;

export const toyPersonas: Persona[] = ['ann', 'bob', 'cem', 'dot', 'eve'].map((id) => ({ id, profile: nobody }));

export interface ToyOptions {
  readonly turns: number;
  /** What a reply earns, given the user's letter and what was said in this dialogue before. */
  readonly reward: (reply: string, letter: string, turn: number, earlierReplies: readonly string[]) => TurnReward;
  readonly end?: Episode['end'];
  readonly history?: 'keep' | 'strip';
  readonly conditions?: RolloutEnvironment['conditions'];
  readonly onRollout?: (request: RolloutRequest) => void | Promise<void>;
}

/** A user who says one random letter a turn. */
export class ToyEnvironment implements RolloutEnvironment {
  readonly history: 'keep' | 'strip';
  readonly conditions: RolloutEnvironment['conditions'];
  readonly requests: RolloutRequest[] = [];

  constructor(private readonly options: ToyOptions) {
    this.history = options.history ?? 'keep';
    this.conditions = options.conditions;
  }

  async rollout(request: RolloutRequest): Promise<Episode[]> {
    this.requests.push(request);
    await this.options.onRollout?.(request);
    const random = new Random(request.seed);
    const { turns: turnCount, reward, end = 'terminated' } = this.options;
    const dialogues = request.personas.map((persona, d) => ({
      persona,
      random: random.split('dialogue', d, persona.id),
      turns: [] as EpisodeTurn[],
    }));
    for (let turn = 1; turn <= turnCount; turn++) {
      const states = dialogues.map(({ random: dice, turns }, d) => this.#state(d, turns, dice.pick([...'abcd']), dice.uint32()));
      const actions = (await request.policy.act(states, { signal: request.signal })) as PolicyAction[];
      for (const [d, action] of actions.entries()) {
        const { turns } = dialogues[d]!;
        const letter = states[d]!.messages.at(-1)!.content;
        const replies = turns.map(({ reply }) => reply);
        turns.push({
          turn,
          state: states[d]!,
          action,
          userMessage: letter,
          disclosed: [],
          profile: nobody,
          golden: nobody,
          reply: action.text,
          reward: reward(action.text, letter, turn, replies),
        });
      }
    }
    return dialogues.map(({ persona, turns }, d) => ({
      id: `${request.seed}-${d}`,
      personaId: persona.id,
      seed: request.seed,
      turns,
      end,
      nextState: end === 'truncated' ? this.#state(d, turns, 'a', 0) : undefined,
    }));
  }

  #state(dialogue: number, turns: readonly EpisodeTurn[], letter: string, seed: number): EpisodeTurn['state'] {
    const past = this.history === 'keep' ? turns : [];
    return {
      dialogueId: String(dialogue),
      messages: [
        ...past.flatMap(({ userMessage, action }) => [
          { role: 'user' as const, content: userMessage },
          { role: 'assistant' as const, content: action.text, tokens: Array.from(action.tokens!.completion) },
        ]),
        { role: 'user' as const, content: letter },
      ],
      seed,
    };
  }
}

export function scored(total: number): TurnReward {
  return { total, status: 'scored' };
}

/** 1 for a reply that is the user's letter and nothing else. */
export const echo: ToyOptions['reward'] = (reply, letter) => scored(Number(reply === letter));

/** Grows with the place of the reply's first letter in the alphabet: hardly ever the same for all. */
export const late: ToyOptions['reward'] = (reply) => scored(reply === '' ? 0 : 'abcdefgh'.indexOf(reply[0]!) / 8);
