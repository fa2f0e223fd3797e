import { isModelFailure } from '../chat/index';
import { forkSignal } from '../deadline';
import { invalidOption, RlpaError, throwIfAborted } from '../errors';
import type { Policy, PolicyAction } from '../policy/policy';
import { Random } from '../random';
import type { Persona } from '../simulation/index';
import { actionSeed } from './action-seed';
import type { DialogueEnvironment, DialogueState } from './dialogue-environment';
import { type Episode, type EpisodeTurn, outputsOf } from './episode';
import { PolicyBatcher } from './policy-batcher';

export interface RolloutOptions {
  readonly policy: Policy;
  /** One dialogue with each, in order; a persona may stand there more than once. */
  readonly personas: readonly Persona[];
  /** Everything random in these dialogues derives from it. */
  readonly seed: number;
  /** Most dialogues at once; all of them by default. */
  readonly concurrency?: number | undefined;
  /** The environment's by default. */
  readonly samplesPerTurn?: number | undefined;
  /** The environment's by default. */
  readonly continuation?: 'sampled' | 'best' | undefined;
  /** Whether the user answers the last turn as well, for the value of the next state; default true. Who trains nothing needs no such message. */
  readonly bootstrap?: boolean | undefined;
  /** Of the policy's sampling, its own by default; 0 takes the most likely tokens. */
  readonly temperature?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Called with every episode as it ends. */
  readonly onEpisode?: ((episode: Episode) => void) | undefined;
}

interface PlayedEpisode {
  readonly episode: Episode;
  readonly failure?: RlpaError;
}

/** See `DialogueEnvironment.rollout`. */
export async function rollout(environment: DialogueEnvironment, options: RolloutOptions): Promise<Episode[]> {
  const { policy, personas, seed, concurrency = Math.max(1, personas.length), samplesPerTurn = environment.samplesPerTurn } = options;
  for (const [option, value] of Object.entries({ concurrency, samplesPerTurn }))
    if (!(Number.isInteger(value) && value >= 1))
      throw invalidOption('DialogueEnvironment.rollout', option, 'a whole number of at least 1', value);
  throwIfAborted(options.signal);

  // Whatever stops one dialogue stops all.
  const controller = new AbortController();
  const onAbort = () => controller.abort(options.signal?.reason);
  options.signal?.addEventListener('abort', onAbort, { once: true });
  const { signal } = controller;
  const lanes = Math.min(concurrency, personas.length);
  const { signals } = forkSignal(signal, lanes + 1);
  const batcher = new PolicyBatcher(policy, {
    signal: signals[lanes]!,
    timeoutMs: environment.actionTimeoutMs,
    temperature: options.temperature,
    dialogues: lanes,
  });
  const played: PlayedEpisode[] = [];
  let next = 0;
  let error: unknown;

  const playMany = async (laneSignal: AbortSignal) => {
    try {
      while (next < personas.length && !signal.aborted) {
        const index = next++;
        const id = `${seed}/${index}/${personas[index]!.id}`;
        played[index] = await play(environment, { ...options, samplesPerTurn, signal: laneSignal }, batcher, personas[index]!, id);
        options.onEpisode?.(played[index].episode);
      }
    } catch (thrown) {
      if (!signal.aborted) error = thrown;
      controller.abort(thrown);
    } finally {
      batcher.leave();
    }
  };
  try {
    await Promise.all(signals.slice(0, lanes).map(playMany));
  } finally {
    options.signal?.removeEventListener('abort', onAbort);
  }
  throwIfAborted(options.signal);
  if (error !== undefined) throw error;
  checkPlayed(played, policy);
  return played.map(({ episode }) => episode);
}

async function play(
  environment: DialogueEnvironment,
  options: RolloutOptions & { readonly samplesPerTurn: number },
  batcher: PolicyBatcher,
  persona: Persona,
  id: string,
): Promise<PlayedEpisode> {
  const { signal, samplesPerTurn, continuation, bootstrap, policy } = options;
  const seed = new Random(options.seed).split('dialogue', id).uint32();
  const turns: EpisodeTurn[] = [];
  const canRead = ({ policyState }: DialogueState) => policy.canRead?.(policyState) !== false;
  const ended = (end: Episode['end'], rest: { tooLong?: true; nextState?: DialogueState; failure?: RlpaError } = {}): PlayedEpisode => ({
    episode: {
      id,
      personaId: persona.id,
      seed,
      turns,
      end,
      ...(rest.tooLong && { tooLong: true }),
      ...(rest.nextState && canRead(rest.nextState) && { nextState: rest.nextState.policyState }),
      ...(rest.failure && { failure: `${rest.failure.code}: ${rest.failure.message}` }),
    },
    ...(rest.failure && { failure: rest.failure }),
  });
  try {
    const first = await begin(environment, { persona, seed, id, signal });
    if (RlpaError.isInstance(first)) return ended('failed', { failure: first });
    let state = first;
    while (true) {
      const { policyState, turn } = state;
      if (!canRead(state)) return ended('truncated', { tooLong: true });
      const seeds = Array.from({ length: samplesPerTurn }, (_, sample) => actionSeed({ seed, dialogueId: id, turn, sample }));
      const actions = await batcher.act(seeds.map((each) => ({ ...policyState, seed: each })));
      const failure = actions.find(RlpaError.isInstance);
      if (failure) return ended('failed', { failure });
      const [action, ...alternatives] = actions as PolicyAction[];
      const step = await environment.step(state, action!, { signal, alternatives, bootstrap, ...(continuation && { continuation }) });
      turns.push(step.turn);
      if (step.end) return ended(step.end, { nextState: step.state, failure: step.failure });
      state = step.state!;
    }
  } finally {
    policy.release?.([id]);
  }
}

/** The first state, or why the user did not even begin. Where it fails later is in the result of a step. */
async function begin(
  environment: DialogueEnvironment,
  start: Parameters<DialogueEnvironment['reset']>[0],
): Promise<DialogueState | RlpaError> {
  try {
    return await environment.reset(start);
  } catch (error) {
    if (start.signal?.aborted || !isModelFailure(error)) throw error;
    return error;
  }
}

/** What must stop a run, which would go on forever without a single dialogue or verdict: a dead endpoint, and a policy that can read nothing. */
function checkPlayed(played: readonly PlayedEpisode[], policy: Policy): void {
  if (played.length > 0 && played.every(({ episode }) => episode.tooLong && episode.turns.length === 0)) {
    throw new RlpaError(
      'invalid-option',
      `The policy "${policy.name}" cannot read as much as the instruction and the first message: expected a shorter instruction, or a model of more positions.`,
      { option: 'instruction' },
    );
  }
  // nobody was asked about malformed outputs: they say nothing of who could have been
  const asked = outputsOf(played.map(({ episode }) => episode)).filter(({ reward }) => reward.status !== 'malformed');
  for (const code of ['model-unreachable', 'budget-exceeded'] as const) {
    const first = played[0]?.failure;
    if (first && played.every(({ episode, failure }) => episode.end === 'failed' && failure?.code === code)) {
      throw new RlpaError(
        code,
        `All ${played.length} dialogues broke off, the first with: ${first.message}`,
        { dialogues: played.length },
        { cause: first },
      );
    }
    if (asked.length > 0 && asked.every(({ reward }) => reward.status === 'unjudged' && reward.failure?.startsWith(`${code}:`))) {
      throw new RlpaError(code, `None of ${asked.length} replies could be judged. ${asked[0]!.reward.failure}`, { replies: asked.length });
    }
  }
}
