import { Command } from 'commander';
import type { OpenAIChatModel } from '../chat/index';
import type { DeviceKind } from '../device/index';
import type { EvaluationOptions } from '../experiments/index';
import { positiveInteger } from './arguments';
import { addHelperOptions, apiKeyHelp, chatModelFromFlags, type HelperFlags, helpersFromFlags } from './chat-model-options';
import type { CommandContext, OutputFlags } from './context';
import { modelUse } from './model-use';
import { progressDisplay } from './progress';
import { evaluationOutcome, printOutcome } from './results';
import { addOutputOptions, addPeopleOptions, recipeHelp, seedOption, turnsOption } from './shared-options';
import { addSpeakerOptions } from './speaker';
import { UsageError } from './usage-error';

interface EvalFlags extends HelperFlags, OutputFlags {
  readonly dialogues?: string;
  readonly policy?: string;
  readonly model?: string;
  readonly baseUrl?: string;
  readonly device: DeviceKind;
  readonly users?: number;
  readonly turns?: number;
  readonly seed: number;
}

const examples = `
Examples:
  Measure a policy that you trained, on the users that were held out:
    $ rlpa eval --policy runs/first/policy
  Measure a chat model on recorded people:
    $ rlpa eval --model gpt-4o-mini --dialogues valid.csv --users 50
`;

/** `rlpa eval`: the evaluation that `train` makes before and after, for any policy or chat model. */
export function evalCommand(context: CommandContext): Command {
  const command = new Command('eval').description('Measure how well a policy or a chat model gets to know people and answers them.');
  addSpeakerOptions(command, 'Who is measured (one of both):');
  addPeopleOptions(command)
    .option('--users <n>', "how many people (default: the recipe's)", positiveInteger)
    .addOption(turnsOption())
    .addOption(seedOption());
  addHelperOptions(command);
  return addOutputOptions(command)
    .addHelpText('after', examples + recipeHelp + apiKeyHelp)
    .action((flags: EvalFlags) => evaluateSubject(flags, context));
}

async function evaluateSubject(flags: EvalFlags, context: CommandContext): Promise<void> {
  const { terminal, signal } = context;
  const display = progressDisplay(terminal, flags);
  const startedAt = performance.now();
  const policy = chatModelFromFlags({ ...flags, flag: '--model' }, terminal);
  const { userModel: user, judgeModel: judge } = helpersFromFlags(flags, terminal);
  const options: EvaluationOptions = {
    subject: subjectOf(flags.policy, policy),
    people: flags.dialogues ? { csv: flags.dialogues } : 'generated',
    seed: flags.seed,
    evalUsers: flags.users,
    turns: flags.turns,
    device: flags.device,
    userModel: user,
    judgeModel: judge,
    signal,
    onProgress: (event) => display.update(event),
    onWarning: (message) => display.note(message),
  };
  try {
    const report = await context.runEvaluation(options);
    display.stop();
    const seconds = (performance.now() - startedAt) / 1000;
    printOutcome(evaluationOutcome(options, report, modelUse({ user, judge, policy }), seconds), context, flags);
  } finally {
    display.stop();
  }
}

/** The policy folder or the chat model that the flags name: exactly one. */
function subjectOf(policyFolder: string | undefined, chatModel: OpenAIChatModel | undefined): EvaluationOptions['subject'] {
  if (policyFolder !== undefined && chatModel === undefined) return { policyFolder };
  if (policyFolder === undefined && chatModel !== undefined) return { chatModel };
  throw new UsageError('Say who is measured: either --policy FOLDER or --model NAME.');
}
