import { existsSync, readdirSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { DialogueEnvironment } from '../environment/index';
import { RlpaError } from '../errors';
import { type EvaluationReport, evaluate } from '../evaluation/index';
import { fileCheckpoints, fileMetrics, readJsonLines, writeJsonWhole } from '../node/index';
import { LocalPolicy } from '../policy/index';
import { type PPOHyperparameters, type PPOMetrics, PPOTrainer } from '../training/index';
import { takeTurns } from './agent-turns';
import { openDevice } from './device';
import { demonstrationEnvironment, environmentFor } from './environments';
import { type ExperimentOptions, type ExperimentResult, type RunExperiment, tinySizes } from './experiment';
import type { People } from './generated-people';
import { checkSameRun, readKept, runFile, runOf } from './kept-run';
import { findPeople } from './people';
import { microBatchTokens, recipeFor, warmStartFor } from './recipes';
import { progressOf } from './run-evaluation';
import { checkSetting, pretrainedSetting, type Setting, tinySetting } from './setting';
import { readSetting, writeSetting } from './setting-file';
import { trainingTotals } from './training-totals';
import { seedFor, warmStart } from './warm-start';

/** Turns that the trained agent takes for show. */
const shownTurns = 5;

/** Where the parts of a run lie. */
function places(outDir: string) {
  return {
    start: join(outDir, 'start'),
    run: join(outDir, runFile),
    before: join(outDir, 'before.json'),
    checkpoints: join(outDir, 'checkpoints'),
    metrics: join(outDir, 'metrics.jsonl'),
    policy: join(outDir, 'policy'),
  };
}

type Places = ReturnType<typeof places>;

/**
 * The whole of it: a policy, warm-started if it starts from nothing, is measured on people it will never meet, trained with PPO, measured
 * again, and takes a few turns. With `outDir` all of it is kept, and `resume` goes on where a run was stopped.
 */
export const runExperiment: RunExperiment = async (given: ExperimentOptions): Promise<ExperimentResult> => {
  const { people, seed, policyFolder, outDir, resume = false, signal, onProgress } = given;
  const kind = people === 'generated' ? 'generated' : 'recorded';
  const kept = outDir === undefined ? undefined : places(outDir);
  if (kept && !resume && hasCheckpoint(kept)) {
    throw new RlpaError('invalid-option', `${outDir}: there is a run in this folder. Go on with it (resume), or choose another folder.`, {
      outDir,
    });
  }
  if (given.loraRank !== undefined && policyFolder === undefined && outDir === undefined) {
    throw new RlpaError('invalid-option', 'An adapter on the tiny policy needs a folder to keep its base in (--out).', {
      option: 'outDir',
    });
  }
  const begun = kept && resume ? await readKept(kept.run) : undefined;
  if (given.size !== undefined && policyFolder !== undefined) {
    throw new RlpaError('invalid-option', 'A size is that of a new tiny policy (--size); a policy that is given has its own (--policy).', {
      option: 'size',
    });
  }
  const size = given.size ?? tinySizes.find((each) => each === begun?.size) ?? 'tiny';
  const options = policyFolder === undefined ? { ...given, size } : given;
  const setting = policyFolder === undefined ? tinySetting(kind, size) : ((await readSetting(policyFolder)) ?? pretrainedSetting(kind));
  checkSetting(setting, kind);
  const recipe = recipeFor(setting);
  const turns = options.turns ?? recipe.turns;
  const found = await findPeople({
    people,
    profile: setting.profile,
    seed,
    users: options.users ?? recipe.users,
    evalUsers: options.evalUsers ?? recipe.evalUsers,
  });
  if (begun) checkSameRun(begun, options);
  const environment = environmentFor(setting, options, { turns, reward: options.reward, profileWeight: recipe.profileWeight });
  const measuring = environmentFor(setting, options, { turns, reward: 'both' });

  const policy = await startingPolicy({ options, setting, found, turns, maxNewTokens: recipe.maxNewTokens, kept });
  try {
    // not before a policy that is given could be opened
    if (kept && policyFolder !== undefined) await claimFolder(kept, options);
    const measure = (phase: 'evaluate-before' | 'evaluate-after') =>
      evaluate({
        policy,
        environment: measuring,
        personas: found.heldOut,
        seed: seedFor(seed, 'evaluation'),
        temperature: recipe.temperature,
        signal,
        onProgress: progressOf(phase, onProgress),
      });
    const before = await remembered(kept?.before, resume, () => measure('evaluate-before'));
    const iterations = options.iterations ?? recipe.iterations;
    const metrics = await train({ options, policy, environment, people: found, ppo: recipe.ppo, iterations });
    const training = trainingTotals(kept ? await readJsonLines<PPOMetrics>(kept.metrics) : metrics);
    if (kept) {
      await policy.save(kept.policy);
      await writeSetting(kept.policy, setting);
    }
    const after = await measure('evaluate-after');
    const { temperature } = recipe;
    const persona = found.heldOut[0]!;
    const shown = { policy, environment, persona, temperature, turns: Math.min(shownTurns, turns), seed, signal, onProgress };
    // only for show: a user who cannot be had now must not cost the measurements
    const agentTurns = await takeTurns(shown).catch((error: Error) => {
      if (signal?.aborted) throw error;
      options.onWarning?.(`The agent's turns were left out: ${error.message}`);
      return undefined;
    });
    return { before, after, training, ...(agentTurns && { agentTurns }), ...(kept && { trainedPolicyFolder: kept.policy }) };
  } finally {
    await policy.dispose();
  }
};

/**
 * Writes down what the run is. What was made before the first checkpoint is made again: the same seeds give the same, and nothing in
 * between was kept.
 */
async function claimFolder(kept: Places, options: ExperimentOptions): Promise<void> {
  await writeJsonWhole(kept.run, runOf(options));
  if (!hasCheckpoint(kept)) for (const path of [kept.start, kept.before]) await rm(path, { recursive: true, force: true });
}

/** Whether there is a run in this folder, or what is left of one, to go on with. */
export function holdsRun(outDir: string): boolean {
  const kept = places(outDir);
  return existsSync(kept.run) || hasCheckpoint(kept);
}

function hasCheckpoint({ checkpoints }: Places): boolean {
  return existsSync(checkpoints) && readdirSync(checkpoints).length > 0;
}

/** The policy that PPO begins with. A resumed run takes the one that was kept, whose weights its reference is. */
async function startingPolicy(start: {
  readonly options: ExperimentOptions;
  readonly setting: Setting;
  readonly found: People;
  readonly turns: number;
  readonly maxNewTokens: number;
  readonly kept: Places | undefined;
}): Promise<LocalPolicy> {
  const { options, setting, found, turns, maxNewTokens, kept } = start;
  const folder = kept?.start;
  const { seed, policyFolder, resume, signal, onProgress } = options;
  const lora = options.loraRank === undefined ? undefined : { rank: options.loraRank };
  const load = async (from: string) => {
    const policy = await LocalPolicy.load(from, { device: await openDevice(options), lora, seed, maxNewTokens, signal, microBatchTokens });
    await policy.setReference();
    return policy;
  };
  if (policyFolder !== undefined) return load(policyFolder);
  if (kept) await claimFolder(kept, options);
  if (resume && folder !== undefined && existsSync(join(folder, 'config.json'))) return load(folder);
  const policy = await warmStart({
    setting,
    environment: demonstrationEnvironment(setting, options, turns),
    personas: found.training,
    plan: warmStartFor(setting),
    device: () => openDevice(options),
    seed,
    maxNewTokens,
    signal,
    onProgress,
  });
  if (folder === undefined) return policy;
  await policy.save(folder);
  await writeSetting(folder, setting);
  if (lora === undefined) return policy;
  await policy.dispose();
  return load(folder);
}

/** Runs PPO and gives the metrics of its iterations; a run that is kept has all of them in its log, those of earlier parts included. */
async function train(run: {
  readonly options: ExperimentOptions;
  readonly policy: LocalPolicy;
  readonly environment: DialogueEnvironment;
  readonly people: People;
  readonly ppo: Partial<PPOHyperparameters>;
  readonly iterations: number;
}): Promise<PPOMetrics[]> {
  const { options, policy, environment, people, ppo, iterations } = run;
  const { seed, outDir, signal, onProgress, onWarning, onCheckpoint } = options;
  const kept = outDir === undefined ? undefined : places(outDir);
  const trainer = new PPOTrainer({
    ...ppo,
    policy,
    environment,
    personas: people.training,
    seed,
    dialogues: options.dialoguesPerIteration ?? ppo.dialogues,
    learningRate: options.learningRate ?? ppo.learningRate,
    klCoefficient: options.kl ?? ppo.klCoefficient,
    checkpointEvery: options.checkpointEvery,
    checkpoints: kept && fileCheckpoints(kept.checkpoints),
    metricsLog: kept && fileMetrics(kept.metrics),
  });
  const played: PPOMetrics[] = [];
  trainer.on('iteration', ({ iteration, metrics }) => {
    played.push(metrics);
    const numbers = Object.entries(metrics).filter((entry): entry is [string, number] => typeof entry[1] === 'number');
    onProgress?.({ phase: 'ppo', done: iteration, total: iterations, unit: 'iterations', metrics: Object.fromEntries(numbers) });
  });
  trainer.on('warning', ({ message }) => onWarning?.(message));
  trainer.on('checkpoint', ({ iteration, location }) => onCheckpoint?.({ iteration, location }));
  await trainer.train({ iterations, resume: options.resume, signal });
  if (played.length === 0) {
    onWarning?.(
      `Nothing was left to train: ${trainer.iteration} iterations are done, and ${iterations} were asked for. Ask for more to go on (--iterations).`,
    );
  }
  return played;
}

/** The report of an earlier part of the run, or a new one that is kept for later parts. */
async function remembered(path: string | undefined, resume: boolean, measure: () => Promise<EvaluationReport>): Promise<EvaluationReport> {
  const earlier = path !== undefined && resume ? await readKept(path) : undefined;
  if (earlier !== undefined) return earlier as unknown as EvaluationReport;
  const report = await measure();
  if (path !== undefined) await writeJsonWhole(path, report);
  return report;
}
