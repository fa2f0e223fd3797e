import { type Command, Option } from 'commander';
import { existingFile, httpUrl, positiveInteger, wholeNumber } from './arguments';

/** Options that several commands have, worded once. */

export function addOutputOptions(command: Command): Command {
  return command
    .optionsGroup('Output:')
    .option('--json', 'for machines: stdout is one JSON object with all results, progress is JSON lines on stderr')
    .option('--quiet', 'show no progress')
    .helpOption('-h, --help', 'show this help');
}

export function addPeopleOptions(command: Command): Command {
  return command
    .optionsGroup('People to talk to:')
    .addOption(
      new Option('--personas <source>', 'where simulated users come from')
        .choices(['generated'])
        .default('generated')
        .conflicts('dialogues'),
    )
    .option('--dialogues <file.csv>', 'recorded people instead: a CSV of dialogues with persona sentences', existingFile)
    .option('--user-model <name>', 'let this chat model play the users (default: scripted users, no model needed)')
    .option('--user-base-url <url>', 'OpenAI-compatible server of the user model (default: $OPENAI_BASE_URL)', httpUrl);
}

export function addJudgeOptions(command: Command): Command {
  return command
    .option('--judge-model <name>', 'let this chat model judge replies (default: transparent rules, no model needed)')
    .option('--judge-base-url <url>', 'OpenAI-compatible server of the judge model (default: $OPENAI_BASE_URL)', httpUrl);
}

export function seedOption(): Option {
  return new Option('--seed <n>', 'one seed, one result').argParser(wholeNumber).default(1);
}

export function turnsOption(): Option {
  return new Option('--turns <n>', "turns in a dialogue (default: the recipe's)").argParser(positiveInteger);
}

export interface PeopleFlags {
  readonly dialogues?: string;
  readonly userModel?: string;
  readonly userBaseUrl?: string;
}

export interface JudgeFlags {
  readonly judgeModel?: string;
  readonly judgeBaseUrl?: string;
}
