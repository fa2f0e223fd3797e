import { RlpaError } from '../errors';
import { isObject } from '../json-object';
import type { PolicyAction, SampledTokens } from '../policy/policy';
import { Profile, type ProfileSchema } from '../profile/index';
import type { Episode, EpisodeTurn } from './episode';

/**
 * An episode as one line of JSON: states, actions with their tokens, rewards in parts, verdicts, disclosure. `parseEpisode` reads it back.
 *
 * @example
 * import { type Episode, serializeEpisode } from 'rlpa';
 * const jsonLines = (episodes: readonly Episode[]) => episodes.map((episode) => `${serializeEpisode(episode)}\n`).join('');
 */
export function serializeEpisode(episode: Episode): string {
  return JSON.stringify(episode, function (key) {
    // `this[key]`: by the time of the call, a profile has been through its own `toJSON`, which leaves out the version.
    const value = (this as Record<string, unknown>)[key];
    if (value instanceof Profile) return { version: value.version, values: value.toJSON() };
    return ArrayBuffer.isView(value) ? Array.from(value as unknown as Iterable<number>) : value;
  });
}

type PlainProfile = { readonly version: number; readonly values: Record<string, unknown> };
type PlainAction = Omit<PolicyAction, 'tokens'> & { readonly tokens?: { [K in keyof SampledTokens]: number | number[] } };
type PlainJudged<T> = Omit<T, 'action' | 'profile' | 'golden'> & { readonly action: PlainAction; readonly profile: PlainProfile };
type PlainTurn = PlainJudged<Omit<EpisodeTurn, 'alternatives'>> & {
  readonly golden: PlainProfile;
  readonly alternatives?: readonly PlainJudged<NonNullable<EpisodeTurn['alternatives']>[number]>[];
};
type PlainEpisode = Omit<Episode, 'turns'> & { readonly turns: readonly PlainTurn[] };

/**
 * Reads a line that `serializeEpisode` wrote.
 *
 * @param schema the schema of its profiles
 * @throws `invalid-file` for what is no episode, `invalid-profile` for profiles of another schema.
 */
export function parseEpisode(line: string, schema: ProfileSchema): Episode {
  let plain: unknown;
  try {
    plain = JSON.parse(line);
  } catch (error) {
    throw new RlpaError(
      'invalid-file',
      `An episode is one line of JSON; found ${JSON.stringify(line.slice(0, 80))}.`,
      {},
      { cause: error },
    );
  }
  if (!isEpisode(plain)) {
    throw new RlpaError(
      'invalid-file',
      `An episode has an id, an end (${ends.join(', ')}) and turns, each with action, profile, golden and reward; found ${line.slice(0, 80)}.`,
    );
  }
  const profile = ({ values, version }: PlainProfile) => schema.profile(values, version);
  return {
    ...plain,
    turns: plain.turns.map((turn): EpisodeTurn => {
      const { alternatives, golden, ...rest } = turn;
      return {
        ...rest,
        action: parseAction(turn.action),
        profile: profile(turn.profile),
        golden: profile(golden),
        ...(alternatives && {
          alternatives: alternatives.map((each) => ({ ...each, action: parseAction(each.action), profile: profile(each.profile) })),
        }),
      };
    }),
  };
}

const ends: readonly unknown[] = ['terminated', 'truncated', 'failed'] satisfies Episode['end'][];

/** Whether all is there that is read here; what an episode only carries along is not looked at. */
function isEpisode(value: unknown): value is PlainEpisode {
  if (!isObject(value)) return false;
  return typeof value.id === 'string' && ends.includes(value.end) && isListOf(value.turns, isTurn);
}

function isTurn(value: unknown): boolean {
  return isJudged(value) && isObject(value.golden) && (value.alternatives === undefined || isListOf(value.alternatives, isJudged));
}

function isJudged(value: unknown): value is Readonly<Record<string, unknown>> {
  return isObject(value) && isAction(value.action) && isObject(value.profile) && isObject(value.reward);
}

function isAction(value: unknown): boolean {
  if (!isObject(value)) return false;
  const { tokens } = value;
  if (tokens === undefined) return true;
  return isObject(tokens) && [tokens.prompt, tokens.completion, tokens.logProbs, tokens.values].every(Array.isArray);
}

function isListOf(value: unknown, isElement: (element: unknown) => boolean): boolean {
  return Array.isArray(value) && value.every(isElement);
}

function parseAction({ tokens, ...action }: PlainAction): PolicyAction {
  if (!tokens) return action;
  return {
    ...action,
    tokens: {
      prompt: Int32Array.from(tokens.prompt as number[]),
      completion: Int32Array.from(tokens.completion as number[]),
      logProbs: Float32Array.from(tokens.logProbs as number[]),
      values: Float32Array.from(tokens.values as number[]),
      version: tokens.version as number,
    },
  };
}
