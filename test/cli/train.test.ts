import { mkdirSync, mkdtempSync, readFileSync, rmSync, watch } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { EvaluationReport } from '../../src/evaluation/index';
import type { PPOMetrics } from '../../src/training/index';
import { type Fault, type OpenAIServerOptions, startOpenAIServer } from '../chat/openai-server';
import { answer, judgeFaults } from '../integration/model-answers';
import { withoutTimings } from '../training/memory-record';
import { microTraining, saveMicroPolicy } from './micro-folder';
import { jsonOf, rlpa } from './rlpa';

const folder = mkdtempSync(join(tmpdir(), 'rlpa-'));
const policy = join(folder, 'micro');
beforeAll(() => saveMicroPolicy(policy), 180_000);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

async function serve(options: OpenAIServerOptions) {
  const server = await startOpenAIServer({ answer, ...options });
  closing.push(() => server.close());
  return server;
}

const models = (userURL: string, judgeURL: string) => [
  ...['--user-model', 'talker', '--user-base-url', userURL],
  ...['--judge-model', 'judge', '--judge-base-url', judgeURL],
];
const metricsOf = (out: string): PPOMetrics[] =>
  readFileSync(join(out, 'metrics.jsonl'), 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
const sum = (values: Iterable<number>) => [...values].reduce((total, value) => total + value, 0);
const notes = (stderr: string): string[] =>
  stderr.split('\n').flatMap((line) => (line.startsWith('{"note"') ? [JSON.parse(line).note] : []));

describe('rlpa train with language models as users and judge', () => {
  it('survives, counts and reports every kind of fault, in JSON and in words, and invents no verdict', { timeout: 180_000 }, async () => {
    const met = new Set<Fault['kind']>();
    const meet = (every: number) => (_: unknown, index: number) => {
      if (index % every !== 1) return undefined;
      const kind = judgeFaults[Math.floor(index / every) % judgeFaults.length]!;
      met.add(kind);
      return kind;
    };
    let verdicts = 0;
    const users = await serve({ fault: meet(6) });
    const judges = await serve({
      fault: meet(3),
      answer: (request) => {
        verdicts++;
        return answer(request);
      },
    });
    const out = join(folder, 'faults');
    const command = [...microTraining(policy), ...models(users.url, judges.url), '--request-timeout', '0.5', '--out', out];
    const run = await rlpa([...command, '--json']);
    expect(run.code, run.stderr.slice(-2000)).toBe(0);
    const result = jsonOf(run);
    expect(met).toEqual(new Set(judgeFaults));

    // what the models did: every request of the servers, repeated or not (and what a deadline kept on its way), and every failure by its reason
    for (const [role, server] of [
      ['user', users],
      ['judge', judges],
    ] as const) {
      const { requests, retries, failures } = result.models[role];
      expect(requests).toBeGreaterThanOrEqual(server.requests.length);
      expect(retries).toBeGreaterThan(0);
      expect(failures.timeout).toBeGreaterThan(0);
      expect(failures['model-failed']).toBeGreaterThan(0);
    }

    // what it cost the training: the sums of its iterations, and a warning for each
    const metrics = metricsOf(out);
    const { training } = result;
    expect(training).toEqual({
      iterations: 3,
      episodes: 18,
      failedEpisodes: sum(metrics.map(({ failedEpisodes }) => failedEpisodes)),
      tooLongEpisodes: 0,
      turns: sum(metrics.map(({ turns }) => turns)),
      unjudgedTurns: sum(metrics.map(({ unjudgedTurns }) => unjudgedTurns)),
      skippedIterations: expect.any(Number),
    });
    expect(training.unjudgedTurns).toBeGreaterThan(0);
    expect(training.failedEpisodes).toBeGreaterThan(0);
    expect(notes(run.stderr).filter((note) => /had no verdict and were masked/.test(note))).toHaveLength(
      metrics.filter(({ unjudgedTurns }) => unjudgedTurns > 0).length,
    );

    // every verdict is one that the judge gave
    const judged = ({ turns }: EvaluationReport) => sum(turns.map(({ perCriterion }) => perCriterion.logic.n));
    const scored = metrics.map(({ turns, unjudgedTurns, malformedRate }) => turns - unjudgedTurns - Math.round(malformedRate! * turns));
    const used = judged(result.before) + sum(scored) + judged(result.after);
    expect(used).toBeGreaterThan(0);
    expect(used).toBeLessThanOrEqual(verdicts);

    // the same in words, with what an earlier process counted
    const again = await rlpa([...command, '--resume']);
    expect(again.code, again.stderr.slice(-2000)).toBe(0);
    expect(again.stdout).toContain(`training: ${training.unjudgedTurns} of ${training.turns} turns had no verdict and were masked.`);
    expect(again.stdout).toContain(`training: ${training.failedEpisodes} of 18 dialogues broke off`);
    // which of its few calls fail depends on how many the first process made, and so on how fast the machine was
    expect(again.stdout).toMatch(/^User model talker, in this process: \d+ calls, \d+ requests repeated, \d+ calls failed/m);
    expect(again.stdout).toMatch(/^Judge model judge, in this process: \d+ calls, .*; \d+ tokens in, \d+ out\.$/m);
  });

  it('stops when an endpoint dies, and goes on by the command that it prints once the endpoint is back', { timeout: 180_000 }, async () => {
    // before: 4 dialogues of 3 turns; an iteration: 6 of 3. Each turn asks the user and the judge.
    const server = await serve({ fault: (_, index) => (index >= 75 ? 'dead' : undefined) });
    const out = join(folder, 'dead');
    const stopped = await rlpa([...microTraining(policy), ...models(server.url, server.url), '--out', out, '--json']);
    expect(stopped.code).toBe(1);
    const { error } = jsonOf(stopped);
    expect(error.code).toBe('model-unreachable');
    expect(error.message).toContain(new URL(server.url).host);
    const reached = metricsOf(out).length;
    expect(reached).toBeGreaterThan(0);
    expect(reached).toBeLessThan(3);
    expect(notes(stopped.stderr).join('\n')).toContain(`Kept the checkpoint after iteration ${reached}`);
    expect(notes(stopped.stderr).join('\n')).toMatch(/^(User|Judge) model .* calls failed \(model-unreachable \d+\)/m);

    await serve({ port: Number(new URL(server.url).port) });
    const [, advice] = notes(stopped.stderr)
      .join('\n')
      .match(/^Go on with the run: rlpa (.*)$/m)!;
    const resumed = await rlpa(advice!.split(' '));
    expect(resumed.code, resumed.stderr.slice(-2000)).toBe(0);
    expect(jsonOf(resumed)).toMatchObject({ training: { iterations: 3, episodes: 18 }, models: { user: { failures: {} } } });
    const metrics = metricsOf(out);
    expect(metrics.map(({ iteration }) => iteration)).toEqual([1, 2, 3]);
    for (const each of metrics.slice(reached)) expect(each).toMatchObject({ unjudgedTurns: 0, failedEpisodes: 0 });
  });

  it('says so, and trains nothing, when an endpoint was never there', { timeout: 60_000 }, async () => {
    const server = await startOpenAIServer();
    await server.close();
    const stopped = await rlpa([...microTraining(policy), ...models(server.url, server.url), '--quiet']);
    expect(stopped.code).toBe(1);
    expect(stopped.stdout).toBe('');
    expect(stopped.stderr).toMatch(/^error: .*talker.*cannot be reached: .*ECONNREFUSED/m);
  });
});

/** Kills the process when something in the folder changes for the `count`th time. */
function whenWritten(path: string, count: number) {
  mkdirSync(path, { recursive: true });
  let changes = 0;
  const watcher = watch(path, () => changes++);
  const when = () => {
    if (changes < count) return false;
    watcher.close();
    return true;
  };
  return { signal: 'SIGKILL', when } as const;
}

it('rlpa train, killed three times and resumed each time, ends with the numbers of the run that was not', {
  timeout: 180_000,
}, async () => {
  const command = [...microTraining(policy), '--seed', '4', '--json'];
  const whole = join(folder, 'whole');
  const expected = jsonOf(await rlpa([...command, '--out', whole]));

  const out = join(folder, 'killed');
  const resume = [...command, '--out', out, '--resume'];
  const kills = [
    await rlpa([...command, '--out', out], {
      send: { signal: 'SIGKILL', when: (stderr) => stderr.includes('"evaluate-before","done":1') },
    }),
    await rlpa(resume, { send: { signal: 'SIGKILL', when: (stderr) => stderr.includes('"phase":"ppo","done":1') } }),
    await rlpa(resume, { send: whenWritten(join(out, 'checkpoints'), 1) }),
  ];
  expect(kills.map(({ signal }) => signal)).toEqual(['SIGKILL', 'SIGKILL', 'SIGKILL']);

  const resumed = await rlpa(resume);
  expect(resumed.code, resumed.stderr.slice(-2000)).toBe(0);
  const { before, after, difference, training, agentTurns } = jsonOf(resumed);
  expect({ before, after, difference, training, agentTurns }).toEqual({
    before: expected.before,
    after: expected.after,
    difference: expected.difference,
    training: expected.training,
    agentTurns: expected.agentTurns,
  });
  expect(metricsOf(out).map(withoutTimings)).toEqual(metricsOf(whole).map(withoutTimings));
  expect(metricsOf(out)).toHaveLength(3);
});

it('rlpa train, begun with relative paths, is resumed and its adapter evaluated from another working directory', {
  timeout: 120_000,
}, async () => {
  const command = [...microTraining('./micro'), '--iterations', '1', '--lora', '2', '--out', 'moved'];
  const begun = await rlpa(command, { cwd: folder });
  expect(begun.code, begun.stderr.slice(-2000)).toBe(0);
  const out = join(folder, 'moved');
  const resumed = await rlpa(['train', '--out', out, '--resume', '--iterations', '2', '--json'], { cwd: tmpdir() });
  expect(resumed.code, resumed.stderr.slice(-2000)).toBe(0);
  const evaluated = await rlpa(['eval', '--policy', join(out, 'policy'), '--users', '4', '--turns', '3', '--json'], { cwd: tmpdir() });
  expect(evaluated.code, evaluated.stderr.slice(-2000)).toBe(0);
});

const rewards = ['profile', 'response', 'both'];

it('rlpa train --ablation trains three times, goes on where it was killed, and puts the three in one table', {
  timeout: 180_000,
}, async () => {
  const command = [...microTraining(policy), '--iterations', '2', '--ablation', '--out', join(folder, 'three')];
  const inTheSecond = (stderr: string) => /Training 2 of 3, reward: response.*"phase":"ppo","done":1/s.test(stderr);
  const killed = await rlpa([...command, '--json'], { send: { signal: 'SIGKILL', when: inTheSecond } });
  expect(killed.signal).toBe('SIGKILL');

  const resumed = await rlpa([...command, '--resume', '--json']);
  expect(resumed.code, resumed.stderr.slice(-2000)).toBe(0);
  const [first, second, third] = resumed.stderr.split(/Training \d of 3/).slice(1);
  expect(first).not.toContain('"phase":"ppo"'); // it was done
  expect(second).toContain('"phase":"ppo","done":2');
  expect(third).toContain('"phase":"ppo","done":2');

  const { ablation, table } = jsonOf(resumed);
  expect(Object.keys(ablation)).toEqual(rewards);
  expect(table.columns).toEqual(['before', ...rewards]);
  // one seed, one start: measured with both parts of the reward, whichever was trained with
  const measured = ({ policy, ...report }: { policy: string }) => report;
  for (const reward of rewards) {
    expect(measured(ablation[reward].before)).toEqual(measured(ablation.both.before));
    expect(ablation[reward].training).toMatchObject({ iterations: 2, episodes: 12 });
    expect(ablation[reward].trainedPolicyFolder).toBe(join(folder, 'three', reward, 'policy'));
  }
});
