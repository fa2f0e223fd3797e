import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { renderTable } from '../../src/cli/table';
import { RlpaError } from '../../src/errors';
import { reportEpisodes, reportTable } from '../../src/evaluation/index';
import type { ExperimentOptions, ExperimentResult, RewardMode } from '../../src/experiments/index';
import { episode, type Outcome } from '../evaluation/episodes';
import { temporaryFolder } from '../node/temporary-folder';
import { commandLine } from './command-line';

const folder = temporaryFolder();

const report = (policy: string, outcomes: readonly Outcome[]) =>
  reportEpisodes([episode('ann', outcomes), episode('bob', outcomes)], { policy, seed: 1 });

const result: ExperimentResult = {
  before: report('tiny', [{ f1: 0.1, fails: 'logic' }, 'malformed']),
  after: report('tiny', [{ f1: 0.4 }, { f1: 0.9 }]),
  training: { iterations: 4, episodes: 40, failedEpisodes: 0, tooLongEpisodes: 0, turns: 80, unjudgedTurns: 0, skippedIterations: 0 },
  agentTurns: [{ message: 'Night shift again.', reply: 'How was the ward?', profile: { occupation: 'nurse' } }],
};

/** Reports four iterations of PPO, as an experiment does, and gives the result. */
async function experiment(options: ExperimentOptions): Promise<ExperimentResult> {
  for (let done = 0; done <= 4; done++)
    options.onProgress?.({ phase: 'ppo', done, total: 4, unit: 'iterations', metrics: { reward: done / 4 } });
  return result;
}

describe('rlpa demo', () => {
  it('prints before, after and the difference on stdout, then the turns of the trained agent', async () => {
    const { exitCode, stdout } = await commandLine(['demo'], { runExperiment: experiment });
    expect(exitCode).toBe(0);
    expect(stdout).toMatch(/before.*after.*difference/);
    expect(stdout).toMatch(/F1@2 .*0\.000 ± 0\.000.*0\.900 ± 0\.000.*0\.900 ± 0\.000/);
    expect(stdout).toMatch(/malformed % .*50\.0 ± 0\.0.*0\.0 ± 0\.0/);
    expect(stdout).toContain('How was the ward?');
    expect(stdout).toContain('occupation: nurse');
  });

  it('with --json prints exactly one JSON object on stdout and progress as JSON lines on stderr', async () => {
    const { stdout, stderr } = await commandLine(['demo', '--seed', '3', '--json'], { runExperiment: experiment });
    const json = JSON.parse(stdout);
    expect(json).toMatchObject({ command: 'demo', seed: 3, before: result.before, after: result.after });
    expect(json.difference.profileF1Last.mean).toBeCloseTo(0.9, 12);
    const progress = stderr
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(progress.at(-1)).toEqual({ phase: 'ppo', done: 4, total: 4, unit: 'iterations', metrics: { reward: 1 } });
  });

  it('writes plain progress lines where stderr is no terminal, and none if quiet', async () => {
    const { stderr } = await commandLine(['demo'], { runExperiment: experiment });
    expect(stderr).toMatch(/^PPO: 4\/4 iterations · .*reward 1$/m);
    expect(stderr).not.toContain('\x1b');
    expect((await commandLine(['demo', '--quiet'], { runExperiment: experiment })).stderr).toBe('');
  });

  it('draws a bar on a terminal', async () => {
    const { stderr } = await commandLine(['demo'], { runExperiment: experiment, tty: true });
    expect(stderr).toMatch(/PPO +█+ 4\/4 iterations/);
  });

  it('writes plain lines, without escape sequences, on a terminal that cannot be drawn on', async () => {
    const { stderr } = await commandLine(['demo'], { runExperiment: experiment, tty: true, env: { TERM: 'dumb' } });
    expect(stderr).toMatch(/^PPO: 4\/4 iterations/m);
    expect(stderr).not.toContain('\x1b');
  });
});

describe('rlpa train', () => {
  it('hands the options to the experiment and leaves the rest to the recipe', async () => {
    const seen: ExperimentOptions[] = [];
    const argv = ['train', '--iterations', '3', '--kl', '0', '--learning-rate', '1e-4', '--reward', 'profile', '--seed', '5'];
    const models = ['--judge-model', 'judge', '--judge-base-url', 'http://localhost:1/v1'];
    await commandLine([...argv, ...models], {
      runExperiment: async (options) => {
        seen.push(options);
        return result;
      },
    });
    expect(seen[0]).toMatchObject({ people: 'generated', iterations: 3, kl: 0, learningRate: 1e-4, reward: 'profile', seed: 5 });
    expect(seen[0]!.users).toBeUndefined();
    expect(seen[0]!.judgeModel!.name).toContain('judge');
    expect(seen[0]!.userModel).toBeUndefined();
  });

  it('runs the ablation once for each reward and prints one table of the three', async () => {
    const rewards: RewardMode[] = [];
    const runExperiment = async (options: ExperimentOptions) => {
      rewards.push(options.reward);
      return result;
    };
    const { stdout } = await commandLine(['train', '--ablation'], { runExperiment });
    expect(rewards).toEqual(['profile', 'response', 'both']);
    expect(stdout).toMatch(/before.*profile.*response.*both/);
    expect(stdout).not.toContain('Talk to it');
    const json = JSON.parse((await commandLine(['train', '--ablation', '--json'], { runExperiment })).stdout);
    expect(Object.keys(json.ablation)).toEqual(['profile', 'response', 'both']);
    expect(json.table.columns).toEqual(['before', 'profile', 'response', 'both']);
  });

  it('says after an ablation where each of the three policies is', async () => {
    const runExperiment = async ({ outDir }: ExperimentOptions) => ({ ...result, trainedPolicyFolder: join(outDir!, 'policy') });
    const out = join(tmpdir(), 'rlpa no such run');
    const { stdout } = await commandLine(['train', '--ablation', '--out', out], { runExperiment });
    for (const reward of ['profile', 'response', 'both']) {
      const folder = join(out, reward, 'policy');
      expect(stdout).toContain(`The policy trained for ${reward} is in ${folder}. Talk to it: rlpa chat --policy '${folder}'\n`);
    }
  });

  it('says that unjudged replies and broken dialogues are not in the table', async () => {
    const after = reportEpisodes([episode('ann', [{ f1: 1, unjudged: true }]), episode('bob', [{ f1: 1 }], 'failed')], {
      policy: 't',
      seed: 1,
    });
    const { stdout } = await commandLine(['train'], { runExperiment: async () => ({ ...result, after }) });
    expect(stdout).toContain('after: 1 replies could not be judged');
    expect(stdout).toContain('after: 1 dialogues broke off, the first with: the user model is down');
  });

  it('fails with exit code 1 and the message alone when the work fails', async () => {
    const runExperiment = async () => {
      throw new RlpaError('model-unreachable', 'The judge at http://localhost:1 does not answer.', { url: 'http://localhost:1' });
    };
    const { exitCode, stdout, stderr } = await commandLine(['train', '--quiet'], { runExperiment });
    expect({ exitCode, stdout, stderr }).toEqual({
      exitCode: 1,
      stdout: '',
      stderr: 'error: The judge at http://localhost:1 does not answer.\n',
    });
  });

  it('with --json reports the failure as the JSON object', async () => {
    const runExperiment = async () => {
      throw new RlpaError('model-unreachable', 'No answer.', { url: 'u' });
    };
    const { exitCode, stdout } = await commandLine(['train', '--json'], { runExperiment });
    expect(exitCode).toBe(1);
    expect(JSON.parse(stdout)).toEqual({ error: { code: 'model-unreachable', message: 'No answer.', details: { url: 'u' } } });
  });
});

describe('the JSON of a command says what was run', () => {
  const judge = ['--judge-model', 'judge', '--judge-base-url', 'http://localhost:1/v1'];

  it('of train: the options, the policy that was given, and where the trained one is', async () => {
    const out = join(folder, 'trained');
    const runExperiment = async ({ outDir }: ExperimentOptions) => ({ ...result, trainedPolicyFolder: join(outDir!, 'policy') });
    const { stdout } = await commandLine(['train', '--policy', folder, '--out', out, ...judge, '--json'], { runExperiment });
    expect(JSON.parse(stdout)).toMatchObject({
      ...{ command: 'train', people: 'generated', seed: 1, reward: 'both', device: 'cpu', judgeModel: expect.stringContaining('judge') },
      ...{ policyFolder: folder, outDir: out, trainedPolicyFolder: join(out, 'policy') },
      ...result,
    });
  });

  it('of eval: the options, and beside them a report with numbers of its own', async () => {
    const measured = report(folder, [{ f1: 0.4 }, { f1: 0.9 }]); // an experiment derives the report's seed from its own
    const argv = ['eval', '--policy', folder, '--seed', '7', '--turns', '2', '--users', '5', ...judge];
    const { stdout } = await commandLine([...argv, '--json'], { runEvaluation: async () => measured });
    const { models, seconds, ...json } = JSON.parse(stdout);
    expect(json).toEqual({
      ...{ command: 'eval', people: 'generated', seed: 7, evalUsers: 5, turns: 2, device: 'cpu', policyFolder: folder },
      judgeModel: expect.stringContaining('judge'),
      report: measured,
    });
    const table = await commandLine(argv, { runEvaluation: async () => measured });
    expect(table.stdout).toContain(folder);
  });

  it('of eval: the chat model by its name', async () => {
    const argv = ['eval', '--model', 'gpt', '--base-url', 'http://localhost:1/v1', '--json'];
    const { stdout } = await commandLine(argv, { runEvaluation: async () => result.after });
    expect(JSON.parse(stdout)).toMatchObject({ chatModel: expect.stringContaining('gpt'), report: result.after });
  });
});

describe('rlpa train --resume', () => {
  /** What the experiment is asked for by a command line that goes on with a run that wrote this down. */
  async function askedFor(written: Record<string, unknown>, argv: readonly string[], place = '.') {
    const out = mkdtempSync(join(folder, 'kept-'));
    mkdirSync(join(out, place), { recursive: true });
    writeFileSync(join(out, place, 'run.json'), JSON.stringify(written));
    const seen: ExperimentOptions[] = [];
    const runExperiment = async (options: ExperimentOptions) => {
      seen.push(options);
      return result;
    };
    const { exitCode, stderr } = await commandLine(['train', '--out', out, '--resume', ...argv], { runExperiment });
    expect(exitCode, stderr).toBe(0);
    return seen;
  }
  const csv = import.meta.filename;
  const written = { people: { csv }, seed: 7, reward: 'profile', turns: 4, kl: 0, policyFolder: './model', loraRank: 8, iterations: 30 };

  it('goes on with all that the run was begun with, but for models, which are named again', async () => {
    const [options] = await askedFor({ ...written, judgeModel: 'judge' }, []);
    expect(options).toMatchObject({ ...written, resume: true });
    expect(options!.judgeModel).toBeUndefined();
  });

  it('takes what is said now instead, also where it is the default', async () => {
    const [options] = await askedFor(written, ['--seed', '1', '--reward', 'both', '--iterations', '60']);
    expect(options).toMatchObject({ ...written, seed: 1, reward: 'both', iterations: 60 });
  });

  it('goes on with an ablation, of whose three runs each is written down', async () => {
    const seen = await askedFor({ people: 'generated', seed: 7, reward: 'profile', turns: 4, size: 'micro' }, ['--ablation'], 'profile');
    expect(seen.map(({ reward }) => reward)).toEqual(['profile', 'response', 'both']);
    for (const options of seen) expect(options).toMatchObject({ people: 'generated', seed: 7, turns: 4, size: 'micro' });
  });
});

describe('a table', () => {
  const table = reportTable({ before: result.before, profile: result.after, response: result.after, both: result.after });

  it('has lines where the terminal, or whatever else reads it, is wide enough', () => {
    for (const width of [undefined, 200]) expect(renderTable(table, width)).toContain('│ F1@2 ');
  });

  it('leaves lines and spaces out where it would not fit, and no number', () => {
    const lines = renderTable(table, 80).split('\n');
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(80);
    expect(lines[0]).toMatch(/^ +before +profile +response +both$/);
    expect(lines.find((line) => line.startsWith('F1@2'))).toMatch(/^F1@2 +0\.000±0\.000( +0\.900±0\.000){3}$/);
    expect(lines).toHaveLength(table.rows.length + 1);
  });
});

describe('an interrupted run', () => {
  it('ends with exit code 130 and says what was kept and how to go on, in words that a shell takes', async () => {
    const interrupt = new AbortController();
    const runExperiment = async ({ signal, onCheckpoint }: ExperimentOptions) => {
      onCheckpoint!({ iteration: 2, location: 'my runs/a/checkpoint-2' });
      interrupt.abort();
      throw new RlpaError('aborted', 'Interrupted.', {}, { cause: signal!.reason });
    };
    const argv = ['train', '--out', join(tmpdir(), 'rlpa no such run'), '--quiet'];
    const { exitCode, stderr, stdout } = await commandLine(argv, { runExperiment, signal: interrupt.signal });
    expect(exitCode).toBe(130);
    expect(stdout).toBe('');
    expect(stderr.split('\n')).toEqual([
      'Kept the checkpoint after iteration 2: my runs/a/checkpoint-2',
      `Go on with the run: rlpa train --out '${join(tmpdir(), 'rlpa no such run')}' --quiet --resume`,
      'Interrupted.',
      '',
    ]);
  });

  it('that is refused when it is resumed is not said to go on by the command that was refused', async () => {
    const runExperiment = async () => {
      throw new RlpaError('invalid-option', 'The run in this folder is another one.');
    };
    const out = mkdtempSync(join(folder, 'refused-'));
    writeFileSync(join(out, 'run.json'), '{}');
    const { exitCode, stderr } = await commandLine(['train', '--out', out, '--resume'], { runExperiment });
    expect(exitCode).toBe(1);
    expect(stderr).toBe('error: The run in this folder is another one.\n');
  });
});
