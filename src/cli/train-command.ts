import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { Command, Option } from 'commander';
import type { DeviceKind } from '../device/index';
import { RlpaError } from '../errors';
import {
  type ExperimentOptions,
  type ExperimentResult,
  holdsRun,
  keptRun,
  type RewardMode,
  rewardModes,
  type TinySize,
} from '../experiments/index';
import { nonNegativeNumber, outputFolder, policyName, positiveInteger, positiveNumber } from './arguments';
import { addHelperOptions, apiKeyHelp, type HelperFlags, helpersFromFlags } from './chat-model-options';
import type { CommandContext, OutputFlags } from './context';
import { describeModelUse, modelUse } from './model-use';
import { type ProgressDisplay, progressDisplay } from './progress';
import { ablationOutcome, experimentOutcome, type Outcome, printOutcome } from './results';
import { addOutputOptions, addPeopleOptions, deviceOption, recipeHelp, seedOption, sizeOption, turnsOption } from './shared-options';
import { resumeCommand } from './shell-command';
import { UsageError } from './usage-error';

interface TrainFlags extends HelperFlags, OutputFlags {
  readonly dialogues?: string;
  readonly policy: string;
  readonly lora?: number;
  readonly size?: TinySize;
  readonly device: DeviceKind;
  readonly users?: number;
  readonly evalUsers?: number;
  readonly reward: RewardMode;
  readonly ablation?: boolean;
  readonly iterations?: number;
  readonly turns?: number;
  readonly dialoguesPerIteration?: number;
  readonly learningRate?: number;
  readonly kl?: number;
  readonly seed: number;
  readonly out?: string;
  readonly resume?: boolean;
  readonly checkpointEvery?: number;
}

const examples = `
Examples:
  Train the embedded policy with scripted users and keep it:
    $ rlpa train --seed 1 --out runs/first
  Train a Hugging Face model on recorded people, with a language model as judge:
    $ rlpa train --policy ./Qwen2.5-0.5B-Instruct --lora 16 --dialogues valid.csv \\
        --judge-model qwen2.5:7b --judge-base-url http://localhost:11434/v1 --out runs/qwen
`;

/** `rlpa train`: PPO, with the same evaluation on held-out users before and after. */
export function trainCommand(context: CommandContext): Command {
  const command = new Command('train')
    .description('Train a policy to know its users and to answer them well, and measure it before and after on users it never met.')
    .optionsGroup('Policy:')
    .option('--policy <folder>', 'Hugging Face folder of a Qwen2 or Llama model, or "tiny" for the embedded one', policyName, 'tiny')
    .addOption(sizeOption("tiny, or the resumed run's"))
    .option('--lora <rank>', 'train low-rank adapters of this rank instead of all weights', positiveInteger)
    .addOption(deviceOption());
  addPeopleOptions(command)
    .option('--users <n>', "different people to train with (default: the recipe's)", positiveInteger)
    .option('--eval-users <n>', "held-out people to measure with (default: the recipe's)", positiveInteger)
    .optionsGroup('Reward:')
    .addOption(
      new Option('--reward <parts>', 'what earns: knowing the profile, the response, or both').choices(rewardModes).default('both'),
    )
    .addOption(new Option('--ablation', 'train once for each of the three rewards and print one table').conflicts('reward'));
  addHelperOptions(command)
    .optionsGroup('Training:')
    .option('--iterations <n>', "PPO iterations (default: the recipe's)", positiveInteger)
    .addOption(turnsOption())
    .option('--dialogues-per-iteration <n>', "dialogues between two updates (default: the recipe's)", positiveInteger)
    .option('--learning-rate <x>', "AdamW's peak learning rate (default: the recipe's)", positiveNumber)
    .option('--kl <x>', "weight of the KL penalty against the policy that PPO begins with (default: the recipe's)", nonNegativeNumber)
    .addOption(seedOption())
    .optionsGroup('Files:')
    .option('--out <folder>', 'keep checkpoints, metrics and the trained policy here (default: nothing is kept)', outputFolder)
    .option('--resume', 'go on from the last checkpoint in --out, with the options that the run was begun with')
    .option('--checkpoint-every <n>', "iterations between checkpoints (default: the recipe's)", positiveInteger);
  return addOutputOptions(command)
    .addHelpText('after', examples + recipeHelp + apiKeyHelp)
    .action(async (flags: TrainFlags, command: Command) => {
      checkOutFolder(flags);
      await train(flags.resume ? await goneOnWith(flags, command) : flags, context);
    });
}

/** A run that is gone on with is as it was begun, but for what is said now; models have to be named again. */
async function goneOnWith(flags: TrainFlags, command: Command): Promise<TrainFlags> {
  const kept = await keptRun(firstRun(flags.out!, flags));
  if (!kept) return flags;
  const { people, policyFolder = 'tiny', loraRank, ...others } = kept;
  const was = { ...others, policy: policyFolder, lora: loraRank, ...(typeof people === 'object' && { dialogues: people.csv }) };
  const said = Object.entries(flags).filter(([name]) => command.getOptionValueSource(name) === 'cli');
  return { ...flags, ...was, ...Object.fromEntries(said) };
}

async function train(flags: TrainFlags, context: CommandContext): Promise<void> {
  const display = progressDisplay(context.terminal, flags);
  const { userModel, judgeModel } = helpersFromFlags(flags, context.terminal);
  let kept: { iteration: number; location: string } | undefined;
  const options: ExperimentOptions = {
    ...experimentOptions(flags, context, display),
    userModel,
    judgeModel,
    onCheckpoint(checkpoint) {
      kept = checkpoint;
    },
  };
  if (!flags.out) display.note('Nothing will be kept: use --out FOLDER to save the policy and its checkpoints.');
  const startedAt = performance.now();
  try {
    const outcome = flags.ablation ? await ablate(options, context, display) : await trainOnce(options, context);
    display.stop();
    const models = modelUse({ user: userModel, judge: judgeModel });
    printOutcome(outcome({ models, seconds: (performance.now() - startedAt) / 1000 }), context, flags);
  } catch (error) {
    display.stop();
    for (const line of describeModelUse(modelUse({ user: userModel, judge: judgeModel }))) display.say(line);
    if (kept) display.say(`Kept the checkpoint after iteration ${kept.iteration}: ${kept.location}`);
    const isRefused = RlpaError.isInstance(error) && error.code === 'invalid-option'; // the same command would be refused again
    if (kept || (flags.out && holdsRun(firstRun(flags.out, flags)) && !isRefused))
      display.say(`Go on with the run: ${resumeCommand(context.argv)}`);
    throw error;
  }
}

/** The last parts of an outcome are known when all is done. */
type OutcomeOf = (rest: Pick<Outcome, 'models' | 'seconds'>) => Outcome;

async function trainOnce(options: ExperimentOptions, context: CommandContext): Promise<OutcomeOf> {
  const result = await context.runExperiment(options);
  return ({ models, seconds }) => experimentOutcome('train', options, result, models, seconds);
}

/** One training for each reward. All three share a seed, and a folder that holds one folder for each. */
async function ablate(options: ExperimentOptions, context: CommandContext, display: ProgressDisplay): Promise<OutcomeOf> {
  const results: Partial<Record<RewardMode, ExperimentResult>> = {};
  for (const [index, reward] of rewardModes.entries()) {
    display.stop();
    display.note(`Training ${index + 1} of ${rewardModes.length}, reward: ${reward}`);
    results[reward] = await context.runExperiment({ ...options, reward, outDir: options.outDir && join(options.outDir, reward) });
  }
  return ({ models, seconds }) => ablationOutcome(options, results as Record<RewardMode, ExperimentResult>, models, seconds);
}

function experimentOptions(flags: TrainFlags, { signal }: CommandContext, display: ProgressDisplay): ExperimentOptions {
  return {
    people: flags.dialogues ? { csv: flags.dialogues } : 'generated',
    seed: flags.seed,
    reward: flags.reward,
    users: flags.users,
    evalUsers: flags.evalUsers,
    turns: flags.turns,
    iterations: flags.iterations,
    dialoguesPerIteration: flags.dialoguesPerIteration,
    learningRate: flags.learningRate,
    kl: flags.kl,
    policyFolder: flags.policy === 'tiny' ? undefined : flags.policy,
    loraRank: flags.lora,
    size: flags.policy === 'tiny' ? flags.size : undefined,
    device: flags.device,
    outDir: flags.out,
    resume: flags.resume,
    checkpointEvery: flags.checkpointEvery,
    signal,
    onProgress: (event) => display.update(event),
    onWarning: (message) => display.note(message),
  };
}

function checkOutFolder({ out, ablation, resume, checkpointEvery, lora, policy }: TrainFlags): void {
  if (out === undefined) {
    if (lora && policy === 'tiny') throw new UsageError('--lora with the embedded policy needs --out FOLDER: where to keep its base.');
    if (resume) throw new UsageError('--resume needs --out FOLDER: the folder of the run to go on with.');
    if (checkpointEvery) throw new UsageError('--checkpoint-every needs --out FOLDER: where to write the checkpoints.');
    return;
  }
  const isBegun = holdsRun(firstRun(out, { ablation }));
  if (resume && !isBegun) {
    const isOfOtherKind = holdsRun(firstRun(out, { ablation: !ablation }));
    const advice = ablation ? 'a single run is there: leave --ablation out' : 'an ablation is there: add --ablation';
    throw new UsageError(`--resume: there is no ${ablation ? 'ablation' : 'run'} in ${out}${isOfOtherKind ? `; ${advice}` : ''}.`);
  }
  if (!resume && existsSync(out) && readdirSync(out).length > 0) {
    const advice = isBegun ? 'Add --resume to go on with the run in it, or choose another folder' : 'Choose another folder';
    throw new UsageError(`--out ${out} is not empty. ${advice}.`);
  }
}

/** The folder of the run, or of an ablation's first. */
function firstRun(out: string, { ablation }: Pick<TrainFlags, 'ablation'>): string {
  return ablation ? join(out, rewardModes[0]) : out;
}
