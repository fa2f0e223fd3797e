import { type Command, Option } from 'commander';
import { existingFile, positiveInteger, wholeNumber } from './arguments';

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
    .option('--dialogues <file.csv>', 'recorded people instead: a CSV of dialogues with persona sentences', existingFile);
}

export function seedOption(): Option {
  return new Option('--seed <n>', 'one seed, one result').argParser(wholeNumber).default(1);
}

export function turnsOption(): Option {
  return new Option('--turns <n>', "turns in a dialogue (default: the recipe's)").argParser(positiveInteger);
}
