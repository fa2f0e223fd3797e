import { Command } from 'commander';
import type { DeviceKind } from '../device/index';
import type { ExperimentOptions, TinySize } from '../experiments/index';
import type { CommandContext, OutputFlags } from './context';
import { progressDisplay } from './progress';
import { experimentOutcome, printOutcome } from './results';
import { addOutputOptions, deviceOption, seedOption, sizeOption } from './shared-options';
import { printLine } from './terminal';

interface DemoFlags extends OutputFlags {
  readonly seed: number;
  readonly device: DeviceKind;
  readonly size?: TinySize;
}

const introduction = `A tiny policy learns to get to know its users, on this machine alone.
It is warm-started to hold the form, trained with PPO against scripted users, and measured before and after on users it never met.
`;

const examples = `
Examples:
  See the whole of it, in a few minutes:
    $ rlpa demo
  The same numbers for a program:
    $ rlpa demo --seed 2 --json
  On a GPU:
    $ rlpa demo --device webgpu
`;

/** `rlpa demo`, which is what `npm start` runs: the whole decision process on embedded defaults. */
export function demoCommand(context: CommandContext): Command {
  const command = new Command('demo')
    .description('Watch a tiny policy learn: warm start, PPO, the evaluation before and after, and a few turns with the result.')
    .optionsGroup('Training:')
    .addOption(seedOption())
    .addOption(sizeOption())
    .addOption(deviceOption());
  return addOutputOptions(command)
    .addHelpText('after', examples)
    .action((flags: DemoFlags) => demo(flags, context));
}

async function demo(flags: DemoFlags, context: CommandContext): Promise<void> {
  const { terminal, signal } = context;
  if (!flags.json && !flags.quiet) printLine(terminal.stderr, introduction);
  const display = progressDisplay(terminal, flags);
  const options: ExperimentOptions = {
    people: 'generated',
    seed: flags.seed,
    reward: 'both',
    device: flags.device,
    size: flags.size,
    signal,
    onProgress: (event) => display.update(event),
    onWarning: (message) => display.note(message),
  };
  const startedAt = performance.now();
  try {
    const result = await context.runExperiment(options);
    display.stop();
    printOutcome(experimentOutcome('demo', options, result, {}, (performance.now() - startedAt) / 1000), context, flags);
  } finally {
    display.stop();
  }
}
