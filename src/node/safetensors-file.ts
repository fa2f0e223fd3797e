import { type FileHandle, open } from 'node:fs/promises';
import { RlpaError, throwIfAborted } from '../errors';
import {
  planSafetensors,
  readSafetensorsHeader,
  readSafetensorsHeaderLength,
  type SafetensorsEntry,
  type StoredTensor,
  safetensorsPrefixBytes,
  type TensorToStore,
  toStoredTensor,
} from '../transformer/index';
import { fileError } from './file-error';
import { writeWhole } from './write-whole';

/** A safetensors file on disk whose header has been read and checked; tensors are read one at a time, each from its own place. */
export interface SafetensorsFile {
  readonly path: string;
  readonly entries: ReadonlyMap<string, SafetensorsEntry>;
  readonly metadata: Readonly<Record<string, string>>;
  /** @throws RlpaError `invalid-file` when there is no such tensor or the file is shorter than when it was opened */
  read(name: string, signal?: AbortSignal): Promise<StoredTensor>;
}

/**
 * Reads the header of a safetensors file. No file stays open between reads.
 *
 * @throws RlpaError `invalid-file`, `file-failed`
 */
export async function openSafetensors(path: string): Promise<SafetensorsFile> {
  const header = await withFile(path, async (handle) => {
    const { size } = await handle.stat();
    const prefix = await readBytes(handle, path, 0, Math.min(safetensorsPrefixBytes, size));
    const length = readSafetensorsHeaderLength(prefix, size, path);
    return readSafetensorsHeader(await readBytes(handle, path, 0, safetensorsPrefixBytes + length), size, path);
  });
  return {
    path,
    ...header,
    async read(name, signal) {
      throwIfAborted(signal);
      const entry = header.entries.get(name);
      if (entry === undefined) throw new RlpaError('invalid-file', `${path}: there is no tensor '${name}'.`, { file: path, tensor: name });
      const data = await withFile(path, (handle) => readBytes(handle, path, entry.begin, entry.end - entry.begin));
      return { dtype: entry.dtype, shape: entry.shape, data };
    },
  };
}

/**
 * Writes a safetensors file whole, tensor by tensor: it is never in memory beside the tensors.
 *
 * @throws RlpaError `invalid-file` where a shape does not fit its data, `file-failed`
 */
export async function writeSafetensors(
  path: string,
  tensors: ReadonlyMap<string, TensorToStore>,
  metadata: Readonly<Record<string, string>> = {},
): Promise<void> {
  const stored = new Map([...tensors].map(([name, tensor]) => [name, toStoredTensor(tensor, name)]));
  const { head, order } = planSafetensors(stored, metadata);
  await writeWhole(path, [head, ...order.map((name) => stored.get(name)!.data)]);
}

async function withFile<T>(path: string, action: (handle: FileHandle) => Promise<T>): Promise<T> {
  let handle: FileHandle | undefined;
  try {
    handle = await open(path, 'r');
    return await action(handle);
  } catch (cause) {
    throw fileError(path, cause);
  } finally {
    await handle?.close();
  }
}

/** Node reads at most 2 GiB at a time. */
const largestRead = 2 ** 30;

async function readBytes(handle: FileHandle, path: string, begin: number, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  let filled = 0;
  while (filled < length) {
    const { bytesRead } = await handle.read(bytes, filled, Math.min(largestRead, length - filled), begin + filled);
    if (bytesRead === 0) {
      throw new RlpaError('invalid-file', `${path}: expected ${length} bytes at ${begin}, found ${filled}: the file is truncated.`, {
        file: path,
      });
    }
    filled += bytesRead;
  }
  return bytes;
}
