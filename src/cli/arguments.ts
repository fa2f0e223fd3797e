import { type Stats, statSync } from 'node:fs';
import { join } from 'node:path';
import { InvalidArgumentError } from 'commander';
import { settingFile } from '../experiments/index';
import { modelFiles } from '../transformer/index';

/** Parsers of option values: each returns the value or says what was expected. Commander adds the option's name and what was found. */

export function positiveInteger(text: string): number {
  return checked(text, (value) => Number.isSafeInteger(value) && value > 0, 'Expected a whole number above 0.');
}

export function wholeNumber(text: string): number {
  return checked(text, (value) => Number.isSafeInteger(value) && value >= 0, 'Expected a whole number, 0 or above.');
}

export function positiveNumber(text: string): number {
  return checked(text, (value) => Number.isFinite(value) && value > 0, 'Expected a number above 0.');
}

/** Up to the 24 days that a timer takes. */
export function seconds(text: string): number {
  return checked(text, (value) => value > 0 && value < 2 ** 31 / 1000, 'Expected a number of seconds above 0.');
}

export function nonNegativeNumber(text: string): number {
  return checked(text, (value) => Number.isFinite(value) && value >= 0, 'Expected a number, 0 or above.');
}

export function httpUrl(text: string): string {
  const protocol = URL.canParse(text) ? new URL(text).protocol : '';
  if (protocol !== 'http:' && protocol !== 'https:') {
    throw new InvalidArgumentError('Expected a URL such as http://localhost:8000/v1.');
  }
  return text;
}

export function existingFile(text: string): string {
  if (!entry(text)?.isFile()) throw new InvalidArgumentError('There is no such file.');
  return text;
}

/** The embedded policy by its name, or a model folder. */
export function policyName(text: string): string {
  return text === 'tiny' ? text : policyFolder(text);
}

/** A model folder, and not that of a run, which holds one. */
export function policyFolder(text: string): string {
  const inside = join(existingFolder(text), 'policy');
  const isModel = [settingFile, modelFiles.config, modelFiles.adapterConfig].some((file) => entry(join(text, file)));
  if (!isModel && entry(join(inside, settingFile)))
    throw new InvalidArgumentError(`It is the folder of a run: its policy is in ${inside}.`);
  return text;
}

function existingFolder(text: string): string {
  if (!entry(text)?.isDirectory()) throw new InvalidArgumentError('There is no such folder.');
  return text;
}

/** A folder to write to, which need not be there yet. */
export function outputFolder(text: string): string {
  if (entry(text)?.isDirectory() === false) throw new InvalidArgumentError('It is a file: expected a folder.');
  return text;
}

/** What is there by this name. */
function entry(path: string): Stats | undefined {
  try {
    return statSync(path, { throwIfNoEntry: false });
  } catch (error) {
    // A name that is too long, a folder that is a file, or that may not be looked into.
    throw new InvalidArgumentError(`${(error as Error).message}.`);
  }
}

function checked(text: string, accepts: (value: number) => boolean, expected: string): number {
  const value = text.trim() === '' ? Number.NaN : Number(text);
  if (!accepts(value)) throw new InvalidArgumentError(expected);
  return value;
}
