import { type Command, Option } from 'commander';
import { deviceKinds } from '../device/index';
import { tinySizes } from '../experiments/index';
import { existingFile, positiveInteger, wholeNumber } from './arguments';

/** Options that several commands have, worded once. */

/** What the options mean by a recipe. */
export const recipeHelp = `
A recipe is a set of numbers made for the policy and the people at hand. What is given replaces the recipe's.
`;

export function addOutputOptions(command: Command): Command {
  return command
    .optionsGroup('Output:')
    .option('--json', 'for machines: stdout is one JSON object with the options and all results, progress is JSON lines on stderr')
    .option('--quiet', 'show no progress')
    .helpOption('-h, --help', 'show this help');
}

export function addPeopleOptions(command: Command): Command {
  return command
    .optionsGroup('People to talk to:')
    .option(
      '--dialogues <file.csv>',
      'recorded people: a CSV of dialogues with persona sentences (default: generated people)',
      existingFile,
    );
}

export function seedOption(): Option {
  return new Option('--seed <n>', 'one seed, one result').argParser(wholeNumber).default(1);
}

export function deviceOption(): Option {
  return new Option('--device <kind>', 'where the policy runs; webgpu-f16 multiplies in half precision')
    .choices(deviceKinds)
    .default('cpu');
}

/** @param fallback what it is where it is left out, in words */
export function sizeOption(fallback = 'tiny'): Option {
  return new Option(
    '--size <name>',
    `of the embedded policy and its recipe: micro only shows that all works (default: ${fallback})`,
  ).choices(tinySizes);
}

export function turnsOption(): Option {
  return new Option('--turns <n>', "turns in a dialogue (default: the recipe's)").argParser(positiveInteger);
}
