import { EventEmitter } from 'eventemitter3';
import { type Episode, outputsOf } from '../environment/index';
import { abortedError, RlpaError, throwIfAborted } from '../errors';
import type { TrainablePolicy } from '../policy/index';
import { Random } from '../random';
import type { Persona } from '../simulation/index';
import { RewardScale, type RewardScaleState } from './advantage';
import { RunRecord } from './checkpoint';
import { type Experience, gatherExperience } from './experience';
import { checkOptions, givenOptions } from './options';
import { metricWarnings, type PPOTrainerEvents, type TrainingWarningCode } from './ppo-events';
import { measureRollouts, type PPOMetrics } from './ppo-metrics';
import { type PPOHyperparameters, ppoDefaults } from './ppo-options';
import { adaptiveRules, type PPOTrainerOptions, type TrainOptions, trainerRules, trainRules } from './ppo-trainer-options';
import { noUpdate, type UpdateReport, updateWithPPO } from './ppo-update';
import { drawPersonas, historyForm, type RolloutEnvironment } from './rollout';
import { describeChanges, describeOptions, type RunOptions } from './run-options';
import { nextKlCoefficient } from './schedule';

/**
 * Trains a policy by proximal policy optimisation (Schulman et al. 2017) on whole dialogues with simulated users. An iteration rolls
 * dialogues out, scores them, estimates advantages and takes `epochs` × `minibatches` AdamW steps.
 *
 * An iteration is atomic for resuming: all its randomness derives from the seed and its number, and a checkpoint is taken between
 * iterations, so a run killed at any moment is redone from the start of its iteration and ends as if it had not been killed.
 *
 * Events: `rollout`, `iteration`, `checkpoint`, `warning`.
 *
 * @throws RlpaError `invalid-option`, naming the option, what was expected and what was found, and `invalid-persona`; nothing is written
 *   before that
 * @example
 * import { PPOTrainer } from 'rlpa';
 * import { fileCheckpoints } from 'rlpa/node';
 * import { tinyTask } from 'rlpa/tiny';
 * const { warmStart, environment, training: personas, iterations, ppo } = tinyTask();
 * const checkpoints = fileCheckpoints('./runs/1');
 * const trainer = new PPOTrainer({ ...ppo, policy: await warmStart(), environment, personas, checkpoints });
 * trainer.on('iteration', ({ iteration, metrics }) => console.log(iteration, metrics.reward, metrics.kl));
 * await trainer.train({ iterations });
 */
export class PPOTrainer extends EventEmitter<PPOTrainerEvents> {
  readonly options: PPOHyperparameters;
  readonly #policy: TrainablePolicy;
  readonly #environment: RolloutEnvironment;
  readonly #personas: readonly Persona[];
  readonly #record: RunRecord;
  readonly #now: () => number;
  readonly #random: Random;

  /** Iterations that are done. */
  #iteration = 0;
  #dataPosition = 0;
  #klCoefficient: number;
  #rewardScale = new RewardScale();
  #skippedIterations = 0;
  #running = false;
  /** An iteration was left after its first step: the policy is between two iterations' weights. */
  #torn = false;

  constructor(options: PPOTrainerOptions) {
    super();
    const all = { ...ppoDefaults, ...givenOptions(options) };
    checkOptions('PPOTrainer', all, all.klTarget === undefined ? trainerRules : adaptiveRules);
    const { policy, environment, personas, checkpoints, metricsLog: log, now, ...hyperparameters } = all;
    for (const persona of personas) environment.checkPersona?.(persona);
    this.options = hyperparameters;
    this.#policy = policy;
    this.#environment = environment;
    this.#personas = personas;
    this.#record = new RunRecord({ kind: 'ppo', policy, checkpoints, log });
    this.#now = now ?? (() => performance.now());
    this.#random = new Random(this.options.seed);
    this.#klCoefficient = this.options.klCoefficient;
  }

  /** Iterations that are done. */
  get iteration(): number {
    return this.#iteration;
  }

  /**
   * Trains until the run is `iterations` long.
   *
   * @throws RlpaError `aborted` when the signal fires, `invalid-option`, `invalid-checkpoint`, `training-failed`, and what the
   *   environment throws when its models are gone for good. The last checkpoint is usable in every case.
   */
  async train(options: TrainOptions): Promise<void> {
    checkOptions('PPOTrainer.train', options, trainRules);
    if (this.#running) throw new RlpaError('training-failed', 'This trainer is already training.');
    this.#running = true;
    try {
      await this.#start(options);
      while (this.#iteration < options.iterations) {
        throwIfAborted(options.signal);
        await this.#iterate(options);
      }
    } catch (error) {
      throw options.signal?.aborted ? abortedError(options.signal) : error;
    } finally {
      this.#running = false;
    }
  }

  async #start({ iterations, resume, signal }: TrainOptions): Promise<void> {
    throwIfAborted(signal);
    if (resume) await this.#resume(iterations);
    else if (this.#torn) throw tornError(this.#record.hasStore);
    else if (this.#iteration === 0) await this.#record.assertFresh();
    if (this.#iteration > 0) return;
    await this.#policy.resetOptimizer();
    await this.#save(iterations);
  }

  async #resume(iterations: number): Promise<void> {
    const { checkpoint, damaged } = await this.#record.resume(this.#iteration > 0 || this.#torn);
    if (checkpoint === undefined) return;
    const state = checkpoint.trainer as unknown as TrainerState;
    this.#iteration = checkpoint.position;
    this.#dataPosition = state.dataPosition;
    this.#klCoefficient = this.options.klTarget === undefined ? this.options.klCoefficient : state.klCoefficient;
    this.#rewardScale = new RewardScale(state.rewardScale);
    this.#skippedIterations = state.skippedIterations;
    this.#torn = false;
    for (const message of damaged) this.#warn('damaged-checkpoint', message);
    const changes = describeChanges(state.options, this.#describeOptions(iterations));
    if (changes !== undefined) this.#warn('options-changed', changes);
  }

  async #iterate({ iterations, signal }: TrainOptions): Promise<void> {
    const iteration = this.#iteration + 1;
    const random = this.#random.split('iteration', iteration);
    const started = this.#now();

    const personas = drawPersonas(this.#personas, this.#dataPosition, this.options.dialogues, this.#random.split('personas'));
    const seed = random.split('rollout').uint32();
    const bootstrap = this.options.credit === 'dialogue';
    const episodes = await this.#environment.rollout({ policy: this.#policy, personas, seed, bootstrap, signal });
    throwIfAborted(signal);
    const rolledOut = this.#now();
    const rolloutSeconds = (rolledOut - started) / 1000;
    this.emit('rollout', { iteration, iterations, episodes, seconds: rolloutSeconds });

    const rewardScale = new RewardScale(this.#rewardScale.state);
    const experience = await gatherExperience(episodes, this.#policy, {
      gamma: this.options.gamma,
      lambda: this.options.lambda,
      credit: this.options.credit,
      klCoefficient: this.options.kl === 'reward' ? this.#klCoefficient : 0,
      maxStaleness: this.options.maxStaleness,
      history: historyForm(this.#environment),
      rewardScale: this.options.rewardScaling ? rewardScale : undefined,
      signal,
    });
    throwIfAborted(signal);
    assertSomethingToLearn(episodes, experience);

    const klCoefficient = this.#klCoefficient;
    const update = experience.informative ? await this.#update(experience, iteration, iterations, random, signal) : noUpdate;
    const finished = this.#now();

    this.#rewardScale = rewardScale;
    this.#dataPosition += this.options.dialogues;
    if (!experience.informative) this.#skippedIterations++;
    if (this.options.klTarget !== undefined) {
      const { klTarget: target, klHorizon: horizon } = this.options;
      this.#klCoefficient = nextKlCoefficient(klCoefficient, experience.report.kl, episodes.length, { target, horizon });
    }
    this.#iteration = iteration;
    this.#torn = false;

    const rollouts = measureRollouts(episodes);
    const updateSeconds = (finished - rolledOut) / 1000;
    const metrics: PPOMetrics = {
      iteration,
      version: this.#policy.version,
      ...rollouts,
      ...experience.report,
      ...update,
      skipped: !experience.informative,
      skippedIterations: this.#skippedIterations,
      trainableTokens: experience.trainableTokens,
      klCoefficient,
      rewardDivisor: this.options.rewardScaling ? rewardScale.divisor : 1,
      rolloutSeconds,
      updateSeconds,
      iterationSeconds: (finished - started) / 1000,
      rolloutTokensPerSecond: generatedTokens(episodes) / rolloutSeconds,
      updateTokensPerSecond: sequenceTokens(experience) / updateSeconds,
    };
    await this.#record.log(iteration, metrics);
    for (const [code, message] of metricWarnings(metrics, this.options, this.#policy.logProbRounding)) this.#warn(code, message);
    this.emit('iteration', { iteration, iterations, metrics });
    if (iteration % this.options.checkpointEvery === 0 || iteration === iterations) await this.#save(iterations);
  }

  async #update(
    experience: Experience,
    iteration: number,
    iterations: number,
    random: Random,
    signal: AbortSignal | undefined,
  ): Promise<UpdateReport> {
    const stepsPerIteration = this.options.epochs * this.options.minibatches;
    const plan = {
      firstStep: (iteration - 1) * stepsPerIteration,
      totalSteps: iterations * stepsPerIteration,
      valueOnly: iteration <= this.options.valueWarmup,
      klCoefficient: this.#klCoefficient,
      onStep: () => {
        this.#torn = true;
      },
    };
    return updateWithPPO(this.#policy, experience.dialogues, this.options, plan, random.split('update'), signal);
  }

  async #save(iterations: number): Promise<void> {
    const state: TrainerState = {
      dataPosition: this.#dataPosition,
      klCoefficient: this.#klCoefficient,
      rewardScale: this.#rewardScale.state,
      skippedIterations: this.#skippedIterations,
      options: this.#describeOptions(iterations),
    };
    const location = await this.#record.save(this.#iteration, { ...state });
    if (location !== undefined) this.emit('checkpoint', { iteration: this.#iteration, location });
  }

  #describeOptions(iterations: number): RunOptions {
    const { maxNewTokens } = this.#policy;
    const { conditions } = this.#environment;
    return describeOptions({ ...conditions, maxNewTokens, ...this.options, iterations, personas: this.#personas.length }, this.#policy);
  }

  #warn(code: TrainingWarningCode, message: string): void {
    this.emit('warning', { code, message, iteration: this.#iteration });
  }
}

/** What a checkpoint keeps of the trainer, besides the policy and the number of iterations. */
interface TrainerState {
  readonly dataPosition: number;
  readonly klCoefficient: number;
  readonly rewardScale: RewardScaleState;
  readonly skippedIterations: number;
  readonly options: RunOptions;
}

function tornError(hasStore: boolean): RlpaError {
  const [option, expected] = hasStore
    ? ['resume', 'resume: true, to go on from the last checkpoint']
    : ['checkpoints', "a new trainer, and the option 'checkpoints' for a run that can be resumed"];
  return new RlpaError('invalid-option', `The last iteration was interrupted after its first step. Expected ${expected}.`, {
    option,
    expected,
  });
}

/**
 * Users or judges that all fail are no batch to skip, but the end of the run: otherwise it would idle through its iterations. Where malformed
 * outputs are all there is to learn from, a judge that is gone has ended the rollout.
 */
function assertSomethingToLearn(episodes: readonly Episode[], { trainableTokens, report }: Experience): void {
  if (trainableTokens > 0 || report.droppedStaleTurns > 0) return;
  const reasons = episodes
    .flatMap((episode) => [
      episode.failure,
      episode.tooLong && 'it grew longer than the policy can read',
      ...outputsOf([episode]).map(({ reward }) => reward.failure),
    ])
    .concat(report.unknownNextStates > 0 ? 'the state after the turn limit could not be had or read' : undefined)
    .filter((reason) => reason !== undefined);
  throw new RlpaError(
    'training-failed',
    `None of the ${episodes.length} dialogues has a turn to train on${reasons.length > 0 ? `; the first failure: ${reasons[0]}` : ''}.`,
    { failures: reasons.slice(0, 10) },
  );
}

function generatedTokens(episodes: readonly Episode[]): number {
  return outputsOf(episodes).reduce((sum, { action }) => sum + action.usage.outputTokens, 0);
}

function sequenceTokens({ dialogues }: Experience): number {
  return dialogues.flat().reduce((sum, { tokens }) => sum + tokens.length, 0);
}
