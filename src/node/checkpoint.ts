import { mkdir, open, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { RlpaError } from '../errors';
import type { Checkpoint, CheckpointStore, MetricsLog } from '../training/index';
import {
  planSafetensors,
  readSafetensorsHeader,
  readSafetensorsHeaderLength,
  type StoredTensor,
  safetensorsPrefixBytes,
  toFloat32Array,
  toStoredTensor,
} from '../transformer/index';
import { temporarySuffix, writeWhole } from './write-whole';

export interface FileCheckpointOptions {
  /** Checkpoints that are kept; older ones are deleted once a newer one is on disk. 3 by default. */
  readonly keep?: number;
}

/** Everything about a checkpoint but the tensors: the text of the file's `checkpoint` metadata. */
interface Description extends Omit<Checkpoint, 'policy'> {
  readonly version: number;
  readonly optimizerStep: number;
  /** Of the tensors' bytes in the order of the file. */
  readonly crc32: number;
}

const namePattern = /^checkpoint-(\d+)\.safetensors$/;

/**
 * Keeps checkpoints in a directory, one safetensors file each, written whole: to a temporary name, synced, renamed. A file that is torn
 * all the same, by a disk or a copy, is told by its sizes and its checksum, and the one before it is taken.
 *
 * @throws RlpaError `invalid-option`
 * @example
 * const trainer = new PPOTrainer({ policy, environment, personas, checkpoints: fileCheckpoints('./runs/1/checkpoints') });
 */
export function fileCheckpoints(directory: string, { keep = 3 }: FileCheckpointOptions = {}): CheckpointStore {
  if (!Number.isSafeInteger(keep) || keep < 1) {
    throw new RlpaError('invalid-option', `fileCheckpoints, option 'keep': expected a whole number of at least 1, found ${keep}.`, {
      option: 'keep',
      found: keep,
    });
  }
  return {
    async save(checkpoint) {
      await mkdir(directory, { recursive: true });
      const path = join(directory, `checkpoint-${String(checkpoint.position).padStart(8, '0')}.safetensors`);
      await writeCheckpoint(path, checkpoint);
      await tidy(directory, keep);
      return path;
    },
    async latest() {
      const names = await checkpointNames(directory);
      const failures: unknown[] = [];
      for (const name of names) {
        try {
          return await readCheckpoint(join(directory, name));
        } catch (error) {
          failures.push(error);
        }
      }
      if (failures.length === 0) return undefined;
      const [first] = failures;
      throw new RlpaError(
        'invalid-checkpoint',
        `None of the ${names.length} checkpoints in ${directory} is whole: ${first instanceof Error ? first.message : first}`,
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
  return {
    async append(_position, metrics) {
      const file = await open(path, 'a');
      try {
        await file.writeFile(`${JSON.stringify(metrics)}\n`);
        await file.datasync();
      } finally {
        await file.close();
      }
    },
    async cutAfter(position) {
      const text = await readFile(path, 'utf8').catch((error) => {
        if (error.code === 'ENOENT') return undefined;
        throw error;
      });
      if (text === undefined) return;
      const kept = text.split('\n').filter((line) => positionOf(line) <= position);
      await writeWhole(
        path,
        kept.map((line) => `${line}\n`),
      );
    },
  };
}

/** The position that a line speaks of; Infinity for what is no whole line, as a killed process leaves. */
function positionOf(line: string): number {
  try {
    const { iteration, step } = JSON.parse(line);
    return iteration ?? step ?? Number.POSITIVE_INFINITY;
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}

async function writeCheckpoint(path: string, checkpoint: Checkpoint): Promise<void> {
  const { policy, ...rest } = checkpoint;
  const tensors = new Map<string, StoredTensor>();
  for (const [name, tensor] of policy.tensors) tensors.set(name, toStoredTensor(tensor, name));
  const { order } = planSafetensors(tensors);
  const data = order.map((name) => tensors.get(name)!.data);
  const description: Description = {
    ...rest,
    version: policy.version,
    optimizerStep: policy.optimizerStep,
    crc32: data.reduce((sum, bytes) => crc32(bytes, sum), 0),
  };
  const { head } = planSafetensors(tensors, { checkpoint: JSON.stringify(description) });
  await writeWhole(path, [head, ...data]);
}

/** @throws RlpaError `invalid-checkpoint` for anything but a whole checkpoint */
async function readCheckpoint(path: string): Promise<Checkpoint> {
  const file = await open(path, 'r');
  try {
    const { size } = await file.stat();
    const read = async (position: number, length: number) => {
      const bytes = new Uint8Array(length);
      const { bytesRead } = await file.read(bytes, 0, length, position);
      if (bytesRead < length) throw new RlpaError('invalid-file', `${path}: expected ${length} bytes at ${position}, found ${bytesRead}.`);
      return bytes;
    };
    const prefix = await read(0, Math.min(size, safetensorsPrefixBytes));
    const headerEnd = safetensorsPrefixBytes + readSafetensorsHeaderLength(prefix, size, path);
    const { entries, metadata } = readSafetensorsHeader(await read(0, headerEnd), size, path);
    const { version, optimizerStep, crc32: expected, ...rest } = parseDescription(metadata.checkpoint, path);
    const tensors = new Map<string, { shape: readonly number[]; data: Float32Array }>();
    let found = 0;
    for (const entry of [...entries.values()].sort((a, b) => a.begin - b.begin)) {
      const data = await read(entry.begin, entry.end - entry.begin);
      found = crc32(data, found);
      tensors.set(entry.name, { shape: entry.shape, data: toFloat32Array({ dtype: entry.dtype, shape: entry.shape, data }) });
    }
    if (found !== expected) throw new RlpaError('invalid-file', `${path}: expected a checksum of ${expected}, found ${found}.`);
    return { ...rest, policy: { version, optimizerStep, tensors } };
  } catch (error) {
    if (!RlpaError.isInstance(error)) throw error;
    throw new RlpaError('invalid-checkpoint', error.message, { ...error.details, file: path }, { cause: error });
  } finally {
    await file.close();
  }
}

function parseDescription(text: string | undefined, path: string): Description {
  if (text === undefined) throw new RlpaError('invalid-file', `${path}: it is no checkpoint, for its metadata has no entry 'checkpoint'.`);
  try {
    return JSON.parse(text) as Description;
  } catch (cause) {
    throw new RlpaError('invalid-file', `${path}: the metadata entry 'checkpoint' is not JSON.`, {}, { cause });
  }
}

/** Newest first. */
async function checkpointNames(directory: string): Promise<string[]> {
  const names = await readdir(directory).catch((error) => {
    if (error.code === 'ENOENT') return [];
    throw error;
  });
  const position = (name: string) => Number(namePattern.exec(name)![1]);
  return names.filter((name) => namePattern.test(name)).sort((a, b) => position(b) - position(a));
}

/** Deletes checkpoints beyond the newest `keep`, and what a killed process left half-written. */
async function tidy(directory: string, keep: number): Promise<void> {
  const partial = (await readdir(directory)).filter((name) => name.startsWith('.checkpoint-') && name.endsWith(temporarySuffix));
  for (const name of [...(await checkpointNames(directory)).slice(keep), ...partial]) await rm(join(directory, name), { force: true });
}
