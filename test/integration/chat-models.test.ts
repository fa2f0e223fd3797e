import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type ChatModel, type OpenAIChatModel, openAIChat } from '../../src/chat/index';
import type { Episode } from '../../src/environment/index';
import { criteria, DualReward, responseReward, rubricJudge } from '../../src/reward/index';
import { modelBehaviour, SimulatedUser } from '../../src/simulation/index';
import { type PPOMetrics, PPOTrainer, type TrainingWarning } from '../../src/training/index';
import { type Fault, type OpenAIServer, type OpenAIServerOptions, type ServedRequest, startOpenAIServer } from '../chat/openai-server';
import { MemoryCheckpoints, MemoryLog } from '../training/memory-record';
import { microEnvironment, microPolicy, personas, type Weights, warmWeights } from './micro-policy';
import { answer, judgeFaults } from './model-answers';

let weights: Weights;
beforeAll(async () => {
  weights = await warmWeights();
});

const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

/** `generate` by way of `stream`, as an application would read it. */
function streamed(model: ChatModel): ChatModel {
  return {
    ...model,
    async generate(request) {
      for await (const part of model.stream(request)) if (part.type === 'finish') return part;
      throw new Error('no finish part');
    },
  };
}

/** Which turn a judge is asked about. */
function turnOf({ messages }: ServedRequest['body']): number {
  return [...messages[1]!.content.matchAll(/^User: /gm)].length;
}

interface Setup {
  readonly userServer: OpenAIServerOptions;
  readonly judgeServer: OpenAIServerOptions;
}

async function serve(options: OpenAIServerOptions): Promise<OpenAIServer> {
  const server = await startOpenAIServer({ answer, ...options });
  closing.push(() => server.close());
  return server;
}

interface Patience {
  readonly timeoutMs: number;
  readonly maxRetries: number;
}

/** Deadlines that faults run into quickly; and for servers that are gone, time to notice it. */
const impatient: Patience = { timeoutMs: 400, maxRetries: 1 };
const patient: Patience = { timeoutMs: 10_000, maxRetries: 0 };

function trainingWith(userURL: string, judgeURL: string, { timeoutMs, maxRetries }: Patience, checkpoints = new MemoryCheckpoints()) {
  const limits = { concurrency: 3, maxRetries };
  const userModel = openAIChat({ model: 'user', baseURL: userURL, ...limits });
  const judgeModel = openAIChat({ model: 'judge', baseURL: judgeURL, ...limits });
  const reward = new DualReward({ response: responseReward({ judge: rubricJudge({ model: judgeModel, timeoutMs }) }) });
  const policy = microPolicy({ weights });
  closing.push(() => policy.dispose());
  const trainer = new PPOTrainer({
    policy,
    environment: microEnvironment({
      reward,
      user: new SimulatedUser({ behaviour: modelBehaviour({ model: streamed(userModel), timeoutMs }), firstMessage: 'Hello' }),
    }),
    personas,
    dialogues: 6,
    epochs: 1,
    minibatches: 2,
    valueWarmup: 0,
    checkpoints,
    metricsLog: new MemoryLog(),
  });
  const episodes: Episode[][] = [];
  const metrics: PPOMetrics[] = [];
  const warnings: TrainingWarning[] = [];
  trainer.on('rollout', (event) => episodes.push([...event.episodes]));
  trainer.on('iteration', (event) => metrics.push(event.metrics));
  trainer.on('warning', (warning) => warnings.push(warning));
  return { trainer, policy, reward, userModel, judgeModel, episodes, metrics, warnings, checkpoints };
}

async function training({ userServer, judgeServer }: Setup, patience: Patience) {
  const users = await serve(userServer);
  const judges = await serve(judgeServer);
  return { ...trainingWith(users.url, judges.url, patience), users, judges };
}

const total = (values: Iterable<number>) => [...values].reduce((sum, value) => sum + value, 0);
const failuresOf = ({ stats }: OpenAIChatModel) => stats.failures;

describe('PPO with language models as users and judge', () => {
  it('runs through when nothing is wrong, streaming and structured output included', async () => {
    const { trainer, users, judges, reward, metrics, warnings, episodes } = await training({ userServer: {}, judgeServer: {} }, patient);
    await trainer.train({ iterations: 2 });
    expect(users.requests.length).toBeGreaterThan(2 * 6 * 2 - 1);
    expect(users.requests.every(({ body }) => body.stream === true && body.stream_options?.include_usage === true)).toBe(true);
    expect(judges.requests.every(({ body }) => body.stream === undefined && body.response_format !== undefined)).toBe(true);
    expect([users.peak, judges.peak].every((peak) => peak <= 3)).toBe(true);
    expect(reward.counts.unjudged).toBe(0);
    expect(reward.counts.scored).toBe(judges.requests.length);
    expect(metrics.map(({ unjudgedTurns, failedEpisodes }) => [unjudgedTurns, failedEpisodes])).toEqual([
      [0, 0],
      [0, 0],
    ]);
    expect(warnings.filter(({ code }) => code !== 'skipped-iteration')).toEqual([]);
    // the verdicts are the server's: a reply that speaks of hiking passes, any other does not
    for (const { reply, reward } of episodes.flat().flatMap(({ turns }) => turns)) {
      if (reward.response) expect(criteria.every((criterion) => reward.response![criterion].pass)).toBe(reply.includes('hiking'));
    }
  });

  it('survives, counts and reports every kind of fault, and invents no verdict', async () => {
    const once = new Map<Fault['kind'], number>();
    const meet = (kinds: readonly Fault['kind'][], every: number, offset: number) => (_: ServedRequest, index: number) => {
      if (index % every !== offset) return undefined;
      const kind = kinds[Math.floor(index / every) % kinds.length]!;
      once.set(kind, (once.get(kind) ?? 0) + 1);
      return kind;
    };
    const userFaults = ['rate-limit', 'server-error', 'cut-off', 'slow', 'ended', 'malformed-json', 'no-message', 'stalled'] as const;
    const { trainer, policy, users, judges, reward, userModel, judgeModel, metrics, warnings, episodes, checkpoints } = await training(
      { userServer: { fault: meet(userFaults, 5, 3) }, judgeServer: { fault: meet(judgeFaults, 3, 1) } },
      impatient,
    );
    await trainer.train({ iterations: 4 });

    // it went through, and learnt
    expect(metrics.length).toBe(4);
    expect(policy.version).toBeGreaterThan(0);
    expect(checkpoints.saved.at(-1)!.position).toBe(4);
    for (const kind of new Set([...judgeFaults, ...userFaults])) expect(once.get(kind), kind).toBeGreaterThan(0);

    // retried: what the server asks to repeat and broken connections; counted either way
    for (const [model, server] of [
      [userModel, users],
      [judgeModel, judges],
    ] as const) {
      expect(model.stats.requests).toBe(server.requests.length);
      expect(model.stats.retries).toBeGreaterThan(0);
      expect(total(Object.values(failuresOf(model)))).toBeGreaterThan(0);
      expect(failuresOf(model).timeout).toBeGreaterThan(0);
      expect(failuresOf(model)['model-failed']).toBeGreaterThan(0);
      expect(server.peak).toBeLessThanOrEqual(3 + 2); // a request whose deadline has passed may still be open at the server
    }

    // a turn without a verdict has no reward and says why; all are counted
    const turns = episodes.flat().flatMap((episode) => episode.turns);
    const unjudged = turns.filter((turn) => turn.reward.status === 'unjudged');
    expect(unjudged.length).toBeGreaterThan(0);
    for (const turn of unjudged) {
      expect(turn.reward.total).toBe(0);
      expect(turn.reward.response).toBeUndefined();
      expect(turn.reward.failure).toMatch(/^(timeout|model-failed|model-rate-limited|model-unreachable): .*judge/);
    }
    for (const turn of turns.filter((turn) => turn.reward.status === 'scored')) expect(turn.reward.response).toBeDefined();
    expect(reward.counts.unjudged).toBe(unjudged.length);
    expect(total(Object.values(reward.counts.failures))).toBe(unjudged.length);
    expect(total(metrics.map(({ unjudgedTurns }) => unjudgedTurns))).toBe(unjudged.length);

    // a user that could not be had ended its dialogue; all are counted
    const failed = episodes.flat().filter(({ end }) => end === 'failed');
    expect(failed.length).toBeGreaterThan(0);
    for (const { failure } of failed) expect(failure).toMatch(/^(timeout|model-failed|model-rate-limited|model-unreachable): /);
    expect(total(metrics.map(({ failedEpisodes }) => failedEpisodes))).toBe(failed.length);

    // and reported where it happened
    const told = (code: string) => warnings.filter((warning) => warning.code === code).map(({ iteration }) => iteration);
    const where = (has: (metrics: PPOMetrics) => boolean) => metrics.filter(has).map(({ iteration }) => iteration);
    expect(told('unjudged-turns')).toEqual(where(({ unjudgedTurns }) => unjudgedTurns > 0));
    expect(told('failed-episodes')).toEqual(where(({ failedEpisodes }) => failedEpisodes > 0));
  });

  it('masks what nobody judged: those tokens are not trained on', async () => {
    const fault: OpenAIServerOptions['fault'] = ({ body }) => (turnOf(body) === 2 ? { kind: 'refused', message: 'no' } : undefined);
    const { trainer, metrics, episodes } = await training({ userServer: {}, judgeServer: { fault } }, patient);
    await trainer.train({ iterations: 1 });
    const turns = episodes.flat().flatMap((episode) => episode.turns);
    const judged = turns.filter(({ reward }) => reward.status !== 'unjudged');
    for (const { turn, reward } of turns) if (reward.status !== 'malformed') expect(reward.status === 'unjudged').toBe(turn === 2);
    expect(metrics[0]!.unjudgedTurns).toBe(turns.length - judged.length);
    expect(metrics[0]!.unjudgedTurns).toBeGreaterThan(0);
    expect(metrics[0]!.trainableTokens).toBe(total(judged.map(({ action }) => action.tokens!.completion.length)));
  });
});

describe('an endpoint that dies', () => {
  it.each([
    ['of the users', 'users'],
    ['of the judge', 'judges'],
  ] as const)('%s stops the run with a clear error, and the run resumes from its checkpoint when it is back', async (_whose, which) => {
    let requests = 0;
    const dying: OpenAIServerOptions = { fault: () => (++requests > 30 ? 'dead' : undefined) };
    const first = await training({ userServer: which === 'users' ? dying : {}, judgeServer: which === 'judges' ? dying : {} }, patient);
    const error = await first.trainer.train({ iterations: 50 }).catch((reason) => reason);
    expect(error).toMatchObject({ name: 'RlpaError', code: 'model-unreachable' });
    expect(error.message).toContain(first[which].url.replace('/v1', ''));
    const reached = first.metrics.length;
    expect(reached).toBeGreaterThan(0);
    expect(reached).toBeLessThan(50);
    expect(first.checkpoints.saved.at(-1)!.position).toBe(reached);

    const [users, judges] = [await serve({}), await serve({})];
    const second = trainingWith(users.url, judges.url, patient, first.checkpoints);
    await second.trainer.train({ iterations: reached + 1, resume: true });
    expect(second.metrics.map(({ iteration }) => iteration)).toEqual([reached + 1]);
    expect(second.metrics[0]).toMatchObject({ unjudgedTurns: 0, failedEpisodes: 0 });
    expect(second.checkpoints.saved.at(-1)!.position).toBe(reached + 1);
  });

  it('that was never there stops the run before it trains anything', async () => {
    const gone = await startOpenAIServer();
    await gone.close();
    const { trainer, policy, checkpoints } = trainingWith(gone.url, gone.url, patient);
    await expect(trainer.train({ iterations: 3 })).rejects.toMatchObject({ code: 'model-unreachable' });
    expect(policy.version).toBe(0);
    expect(checkpoints.saved.map(({ position }) => position)).toEqual([0]);
  });
});
