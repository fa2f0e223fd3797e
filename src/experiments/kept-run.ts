import { join, resolve } from 'node:path';
import { RlpaError } from '../errors';
import { isObject } from '../json-object';
import { readJsonIfThere } from '../node/index';
import type { ExperimentOptions } from './experiment';

/** Where a run's folder says what the run is. */
export const runFile = 'run.json';

/** What a run is: with any of it changed it would be another one. */
function identity(options: ExperimentOptions): Record<string, unknown> {
  const { seed, reward, users, evalUsers, turns, dialoguesPerIteration, learningRate, kl, loraRank, size } = options;
  const { people, policyFolder } = pathsOf(options);
  const models = { userModel: options.userModel?.name, judgeModel: options.judgeModel?.name };
  return {
    people,
    seed,
    reward,
    users,
    evalUsers,
    turns,
    dialoguesPerIteration,
    learningRate,
    kl,
    policyFolder,
    loraRank,
    size,
    ...models,
  };
}

/** Whole paths: a run may go on from another working directory than the one in which it was begun. */
function pathsOf({ people, policyFolder }: Pick<KeptRun, 'people' | 'policyFolder'>): Pick<KeptRun, 'people' | 'policyFolder'> {
  return {
    people: typeof people === 'object' ? { csv: resolve(people.csv) } : people,
    policyFolder: policyFolder === undefined ? undefined : resolve(policyFolder),
  };
}

/** What is written down of a run: what it is, and how long, which may change. */
export function runOf(options: ExperimentOptions): Record<string, unknown> {
  return { ...identity(options), iterations: options.iterations };
}

/** The options that a run was begun with, but for its models, of which the names alone were written down. */
export type KeptRun = Partial<Omit<ExperimentOptions, 'userModel' | 'judgeModel'>>;

/**
 * What was written down of the run in this folder; undefined where there is none.
 *
 * @throws RlpaError `invalid-file` for a file that was damaged since, `file-failed`
 */
export async function keptRun(folder: string): Promise<KeptRun | undefined> {
  const kept = await readKept(join(folder, runFile));
  if (kept === undefined) return undefined;
  const { userModel: _, judgeModel: __, ...run } = kept;
  return run;
}

/** Holds a resumed run to what was written down of it. */
export function checkSameRun({ iterations: _, ...kept }: Readonly<Record<string, unknown>>, options: ExperimentOptions): void {
  // earlier versions wrote no size down, or one that did not matter, and paths as they were given
  const size = kept.policyFolder === undefined ? (kept.size ?? 'tiny') : undefined;
  const expected: Record<string, unknown> = { ...kept, ...pathsOf(kept), size };
  const found = identity(options);
  const changed = Object.keys({ ...expected, ...found }).filter((key) => JSON.stringify(expected[key]) !== JSON.stringify(found[key]));
  if (changed.length === 0) return;
  const list = changed.map((key) => `${key} was ${described(expected[key])} and is ${described(found[key])}`).join(', ');
  throw new RlpaError('invalid-option', `The run in this folder is another one: ${list}.`, { expected, found });
}

function described(value: unknown): string {
  return value === undefined ? "the recipe's" : JSON.stringify(value);
}

/** A file of an earlier part of the run, if it wrote it. @throws RlpaError `invalid-file` for one that was damaged since, `file-failed` */
export async function readKept(path: string): Promise<Readonly<Record<string, unknown>> | undefined> {
  const kept = await readJsonIfThere(path);
  if (kept === undefined || isObject(kept)) return kept;
  throw new RlpaError('invalid-file', `${path}: expected what the run wrote there, an object of JSON.`, { file: path });
}
