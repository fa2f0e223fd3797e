import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { checkKnown, invalidOption, RlpaError } from '../errors';
import { isObject } from '../json-object';
import type { Checkpoint, CheckpointStore, MetricsLog } from '../training/index';
import { type StoredTensor, toFloat32Array, toStoredTensor } from '../transformer/index';
import { fileError, saysMissing } from './file-error';
import { checkFolderPath, removeFile } from './folder';
import { JsonLines, readJsonLines } from './jsonl';
import { openSafetensors, writeSafetensors } from './safetensors-file';
import { temporarySuffix, writeWhole } from './write-whole';

export interface FileCheckpointOptions {
  /** Checkpoints that are kept; older ones are deleted once a newer one is on disk. 3 by default. */
  readonly keep?: number | undefined;
}

/** Everything about a checkpoint but the tensors: the text of the file's `checkpoint` metadata. */
interface Description extends Omit<Checkpoint, 'policy'> {
  readonly version: number;
  readonly optimizerStep: number;
  /** CRC-32 of each tensor's bytes. */
  readonly checksums: Readonly<Record<string, number>>;
}

const namePattern = /^checkpoint-(\d+)\.safetensors$/;

/**
 * Keeps checkpoints in a directory, one safetensors file each, written whole: to a temporary name, synced, renamed. A file that is torn
 * all the same, by a disk or a copy, is told by its sizes and its checksum, and the one before it is taken.
 *
 * @throws RlpaError `invalid-option`; from the store's methods `invalid-checkpoint`, `invalid-file` where the directory is a file,
 *   `file-failed`
 * @example
 * import { PPOTrainer } from 'rlpa';
 * import { fileCheckpoints } from 'rlpa/node';
 * import { tinyTask } from 'rlpa/tiny';
 * const { warmStart, environment, training, ppo } = tinyTask();
 * const checkpoints = fileCheckpoints('./runs/1/checkpoints');
 * const trainer = new PPOTrainer({ ...ppo, policy: await warmStart(), environment, personas: training, checkpoints });
 */
export function fileCheckpoints(directory: string, options: FileCheckpointOptions = {}): CheckpointStore {
  checkFolderPath(directory);
  checkKnown('fileCheckpoints', options, { keep: true });
  const { keep = 3 } = options;
  if (!Number.isSafeInteger(keep) || keep < 1) throw invalidOption('fileCheckpoints', 'keep', 'a whole number of at least 1', keep);
  return {
    async save(checkpoint) {
      const path = join(directory, `checkpoint-${String(checkpoint.position).padStart(8, '0')}.safetensors`);
      await writeCheckpoint(path, checkpoint);
      await tidy(directory, checkpoint.position, keep);
      return path;
    },
    async latest(onDamaged) {
      const names = await checkpointNames(directory);
      const failures: RlpaError[] = [];
      for (const name of names) {
        try {
          const checkpoint = await readCheckpoint(join(directory, name));
          for (const failure of failures) onDamaged?.(failure);
          return checkpoint;
        } catch (error) {
          if (!RlpaError.isInstance(error) || error.code !== 'invalid-checkpoint') throw error;
          failures.push(error);
        }
      }
      if (failures.length === 0) return undefined;
      const [first] = failures;
      throw new RlpaError(
        'invalid-checkpoint',
        `None of the ${names.length} checkpoints in ${directory} is whole: ${first!.message}`,
        { directory, names },
        { cause: first },
      );
    },
  };
}

/**
 * Keeps metrics as JSONL, one line for each position, `{"iteration": 1, …}` or `{"step": 1, …}`. After a resume the file is that of a
 * run that was never stopped.
 */
export function fileMetrics(path: string): MetricsLog {
  const lines = new JsonLines<object>(path);
  return {
    append: (_position, metrics) => lines.append(metrics),
    async cutAfter(position) {
      const all = await readJsonLines(path).catch((error) => {
        if (saysMissing(error)) return undefined;
        throw error;
      });
      const kept = all?.filter((metrics) => isObject(metrics) && Number(metrics.iteration ?? metrics.step) <= position);
      if (kept !== undefined) await writeWhole(path, kept.map((metrics) => `${JSON.stringify(metrics)}\n`).join(''));
    },
  };
}

async function writeCheckpoint(path: string, { policy, ...rest }: Checkpoint): Promise<void> {
  const tensors = new Map<string, StoredTensor>();
  for (const [name, tensor] of policy.tensors) tensors.set(name, toStoredTensor(tensor, name));
  const description: Description = {
    ...rest,
    version: policy.version,
    optimizerStep: policy.optimizerStep,
    checksums: Object.fromEntries([...tensors].map(([name, { data }]) => [name, crc32(data)])),
  };
  await writeSafetensors(path, tensors, { checkpoint: JSON.stringify(description) });
}

/** @throws RlpaError `invalid-checkpoint` for anything but a whole checkpoint */
async function readCheckpoint(path: string): Promise<Checkpoint> {
  try {
    const file = await openSafetensors(path);
    const { version, optimizerStep, checksums, ...rest } = parseDescription(file.metadata.checkpoint, path);
    const tensors = new Map<string, { shape: readonly number[]; data: Float32Array }>();
    for (const name of file.entries.keys()) {
      const tensor = await file.read(name);
      const found = crc32(tensor.data);
      if (found !== checksums[name]) {
        throw new RlpaError('invalid-file', `${path}, tensor '${name}': expected the checksum ${checksums[name]}, found ${found}.`);
      }
      tensors.set(name, { shape: tensor.shape, data: toFloat32Array(tensor) });
    }
    return { ...rest, policy: { version, optimizerStep, tensors } };
  } catch (error) {
    if (!RlpaError.isInstance(error) || error.code !== 'invalid-file') throw error;
    throw new RlpaError('invalid-checkpoint', error.message, { ...error.details, file: path }, { cause: error });
  }
}

function parseDescription(text: string | undefined, path: string): Description {
  if (text === undefined) throw new RlpaError('invalid-file', `${path}: it is no checkpoint, for its metadata has no entry 'checkpoint'.`);
  let description: unknown;
  try {
    description = JSON.parse(text);
  } catch (cause) {
    throw new RlpaError('invalid-file', `${path}: the metadata entry 'checkpoint' is not JSON.`, {}, { cause });
  }
  if (!isDescription(description)) {
    const found = text.length > 80 ? `${text.slice(0, 79)}…` : text;
    throw new RlpaError('invalid-file', `${path}: the metadata entry 'checkpoint' describes none: ${found}`);
  }
  return description;
}

function isDescription(value: unknown): value is Description {
  if (!isObject(value)) return false;
  const { kind, position, fingerprint, trainer, version, optimizerStep, checksums } = value;
  return (
    [kind, fingerprint].every((each) => typeof each === 'string') &&
    [position, version, optimizerStep].every(Number.isSafeInteger) &&
    [trainer, checksums].every(isObject)
  );
}

/** Newest first. */
async function checkpointNames(directory: string): Promise<string[]> {
  const names = await namesIn(directory);
  return names.filter((name) => namePattern.test(name)).sort((a, b) => positionOf(b) - positionOf(a));
}

function positionOf(name: string): number {
  return Number(namePattern.exec(name)![1]);
}

/**
 * Deletes checkpoints beyond the newest `keep`, those that claim to be later than what was just saved, for they were passed over as damaged, and
 * what a killed process left half-written.
 */
async function tidy(directory: string, saved: number, keep: number): Promise<void> {
  const partial = (await namesIn(directory)).filter((name) => name.startsWith('.checkpoint-') && name.endsWith(temporarySuffix));
  const names = await checkpointNames(directory);
  const later = names.filter((name) => positionOf(name) > saved);
  for (const name of [...later, ...names.slice(later.length + keep), ...partial]) await removeFile(join(directory, name));
}

/** None where there is no directory. */
async function namesIn(directory: string): Promise<string[]> {
  return readdir(directory).catch((error) => {
    if (saysMissing(error)) return [];
    throw fileError(directory, error);
  });
}
