/**
 * The safetensors format: 8 bytes of little-endian header length, a JSON header, then the tensors' bytes without holes.
 * https://github.com/huggingface/safetensors#format
 *
 * Nothing is allocated by a length that has not been compared with the file. Typed arrays are taken as little-endian, which every
 * platform that runs JavaScript today is.
 */
import { RlpaError } from '../errors';
import { isObject } from '../json-object';

/** Width of each element type. */
export const bytesPerElement = { F64: 8, I64: 8, F32: 4, I32: 4, F16: 2, BF16: 2, U8: 1, BOOL: 1 } as const;

/** The element types that are read and written. */
export type SafetensorsDtype = keyof typeof bytesPerElement;

/** Where a tensor lies in its file. */
export interface SafetensorsEntry {
  readonly name: string;
  readonly dtype: SafetensorsDtype;
  readonly shape: readonly number[];
  /** First byte, counted from the start of the file. */
  readonly begin: number;
  /** The byte after the last one. */
  readonly end: number;
}

export interface SafetensorsHeader {
  readonly entries: ReadonlyMap<string, SafetensorsEntry>;
  readonly metadata: Readonly<Record<string, string>>;
}

/** A tensor in the form that the file has it in; `toFloat32Array` and `toInt32Array` convert. */
export interface StoredTensor {
  readonly dtype: SafetensorsDtype;
  readonly shape: readonly number[];
  /** The raw little-endian bytes. */
  readonly data: Uint8Array;
}

/** A tensor to be stored: typed values (F32, I32), or raw bytes of a stated type. */
export type TensorToStore = StoredTensor | { readonly shape: readonly number[]; readonly data: Float32Array | Int32Array };

/** The reference implementation's bound: a longer header is an attack or a broken file. */
const longestHeader = 100_000_000;
/** Bytes before the header. */
export const safetensorsPrefixBytes = 8;

/**
 * The number of bytes that the JSON header takes after the first 8.
 *
 * @param prefix the first 8 bytes of the file
 * @throws RlpaError `invalid-file`
 */
export function readSafetensorsHeaderLength(prefix: Uint8Array, fileSize: number, name: string): number {
  if (fileSize < safetensorsPrefixBytes || prefix.byteLength < safetensorsPrefixBytes) {
    throw broken(
      name,
      `expected at least ${safetensorsPrefixBytes} bytes, found ${Math.min(fileSize, prefix.byteLength)}: the file is truncated`,
    );
  }
  const view = new DataView(prefix.buffer, prefix.byteOffset, safetensorsPrefixBytes);
  const length = view.getUint32(0, true) + view.getUint32(4, true) * 2 ** 32;
  if (length > longestHeader)
    throw broken(name, `the header claims ${length} bytes, more than the ${longestHeader} that the format allows`);
  if (length > fileSize - safetensorsPrefixBytes) {
    throw broken(
      name,
      `the header claims ${length} bytes, but only ${fileSize - safetensorsPrefixBytes} follow: the file is truncated or not safetensors`,
    );
  }
  return length;
}

/**
 * Reads and checks the header: every tensor's type, shape and place, against each other and against the size of the file.
 *
 * @param bytes the file, or at least its first 8 bytes and header
 * @param fileSize bytes in the whole file
 * @param name names the file in errors
 * @throws RlpaError `invalid-file`; `details.tensor` names the tensor where one is at fault
 */
export function readSafetensorsHeader(bytes: Uint8Array, fileSize: number, name: string): SafetensorsHeader {
  const length = readSafetensorsHeaderLength(bytes, fileSize, name);
  const dataStart = safetensorsPrefixBytes + length;
  if (bytes.byteLength < dataStart)
    throw broken(name, `expected ${dataStart} bytes up to the end of the header, found ${bytes.byteLength}`);
  const json = parseHeader(bytes.subarray(safetensorsPrefixBytes, dataStart), name);

  const entries: SafetensorsEntry[] = [];
  let metadata: Record<string, string> = {};
  for (const [key, value] of Object.entries(json)) {
    if (key === '__metadata__') metadata = parseMetadata(value, name);
    else entries.push(parseEntry(key, value, dataStart, fileSize, name));
  }
  refuseHolesAndOverlaps(entries, dataStart, fileSize, name);
  return { entries: new Map(entries.map((entry) => [entry.name, entry])), metadata };
}

/**
 * Reads a whole file. The tensors' bytes are views of `bytes`, not copies.
 *
 * @throws RlpaError `invalid-file`
 */
export function decodeSafetensors(bytes: Uint8Array | ArrayBuffer, name: string): Map<string, StoredTensor> {
  const file = bytes instanceof Uint8Array ? bytes : new Uint8Array(bytes);
  const { entries } = readSafetensorsHeader(file, file.byteLength, name);
  const tensors = new Map<string, StoredTensor>();
  for (const entry of entries.values()) {
    tensors.set(entry.name, { dtype: entry.dtype, shape: entry.shape, data: file.subarray(entry.begin, entry.end) });
  }
  return tensors;
}

/** The layout of a file to be written: its first bytes (length and header) and the tensors in the order in which their bytes follow. */
export interface SafetensorsLayout {
  readonly head: Uint8Array;
  readonly order: readonly string[];
  /** Bytes in the whole file. */
  readonly fileSize: number;
}

/**
 * Plans a file without holding its data: wide types first, as the reference implementation does, so that every tensor is aligned.
 *
 * @throws RlpaError `invalid-file` where a shape does not fit its data
 */
export function planSafetensors(
  tensors: ReadonlyMap<string, Pick<StoredTensor, 'dtype' | 'shape'>>,
  metadata: Readonly<Record<string, string>> = {},
): SafetensorsLayout {
  const widths = (name: string) => bytesPerElement[tensors.get(name)!.dtype];
  const order = [...tensors.keys()].sort((a, b) => widths(b) - widths(a) || (a < b ? -1 : 1));
  const header: [string, unknown][] = Object.keys(metadata).length === 0 ? [] : [['__metadata__', metadata]];
  let offset = 0;
  for (const name of order) {
    if (name === '__metadata__') throw new RlpaError('invalid-file', "A tensor cannot be named '__metadata__' in a safetensors file.");
    const { dtype, shape } = tensors.get(name)!;
    const end = offset + elements(shape) * bytesPerElement[dtype];
    header.push([name, { dtype, shape, data_offsets: [offset, end] }]);
    offset = end;
  }
  const json = new TextEncoder().encode(JSON.stringify(Object.fromEntries(header)));
  const length = Math.ceil(json.byteLength / 8) * 8;
  const head = new Uint8Array(safetensorsPrefixBytes + length).fill(0x20);
  new DataView(head.buffer).setBigUint64(0, BigInt(length), true);
  head.set(json, safetensorsPrefixBytes);
  return { head, order, fileSize: head.byteLength + offset };
}

/** The raw form of a tensor; shares its memory. */
export function toStoredTensor(tensor: TensorToStore, name: string): StoredTensor {
  const { shape, data } = tensor;
  const stored: StoredTensor =
    'dtype' in tensor
      ? tensor
      : { dtype: data instanceof Float32Array ? 'F32' : 'I32', shape, data: new Uint8Array(data.buffer, data.byteOffset, data.byteLength) };
  const expected = elements(shape) * bytesPerElement[stored.dtype];
  if (stored.data.byteLength !== expected) {
    throw new RlpaError(
      'invalid-file',
      `Tensor '${name}': its shape [${shape}] of ${stored.dtype} takes ${expected} bytes, found ${stored.data.byteLength}.`,
      { tensor: name, expected, found: stored.data.byteLength },
    );
  }
  return stored;
}

/**
 * Writes a whole file.
 *
 * @throws RlpaError `invalid-file` where a shape does not fit its data
 */
export function encodeSafetensors(
  tensors: ReadonlyMap<string, TensorToStore>,
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array {
  const stored = new Map([...tensors].map(([name, tensor]) => [name, toStoredTensor(tensor, name)]));
  const { head, order, fileSize } = planSafetensors(stored, metadata);
  const bytes = new Uint8Array(fileSize);
  bytes.set(head);
  let offset = head.byteLength;
  for (const name of order) {
    const { data } = stored.get(name)!;
    bytes.set(data, offset);
    offset += data.byteLength;
  }
  return bytes;
}

function parseHeader(bytes: Uint8Array, name: string): Record<string, unknown> {
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (cause) {
    throw new RlpaError('invalid-file', `${name}: the header is not JSON in UTF-8.`, { file: name }, { cause });
  }
  if (!isObject(json)) throw broken(name, 'expected the header to be a JSON object');
  return json;
}

function parseMetadata(value: unknown, name: string): Record<string, string> {
  if (!isObject(value) || Object.values(value).some((text) => typeof text !== 'string')) {
    throw broken(name, 'expected __metadata__ to map names to texts');
  }
  return value as Record<string, string>;
}

function parseEntry(tensor: string, value: unknown, dataStart: number, fileSize: number, name: string): SafetensorsEntry {
  const wrong = (expected: string, found: unknown) =>
    broken(name, `tensor '${tensor}': expected ${expected}, found ${(JSON.stringify(found) ?? 'nothing').slice(0, 200)}`, tensor);
  if (!isObject(value)) throw wrong('an object with dtype, shape and data_offsets', value);
  const { dtype, shape, data_offsets: offsets } = value;
  if (typeof dtype !== 'string' || !Object.hasOwn(bytesPerElement, dtype)) {
    throw wrong(`a dtype among ${Object.keys(bytesPerElement).join(', ')}`, dtype);
  }
  if (!isCounts(shape)) throw wrong('a shape of non-negative integers', shape);
  if (!isCounts(offsets) || offsets.length !== 2) throw wrong('data_offsets of two non-negative integers', offsets);
  const [begin, end] = offsets as [number, number];
  const dataSize = fileSize - dataStart;
  if (begin > end || end > dataSize) throw wrong(`data_offsets within the file's ${dataSize} bytes of data`, offsets);
  const expected = elements(shape) * bytesPerElement[dtype as SafetensorsDtype];
  if (end - begin !== expected) throw wrong(`${expected} bytes for shape [${shape}] of ${dtype}`, end - begin);
  return { name: tensor, dtype: dtype as SafetensorsDtype, shape, begin: dataStart + begin, end: dataStart + end };
}

function refuseHolesAndOverlaps(entries: readonly SafetensorsEntry[], dataStart: number, fileSize: number, name: string): void {
  let position = dataStart;
  for (const entry of [...entries].sort((a, b) => a.begin - b.begin || a.end - b.end)) {
    if (entry.begin < position) throw broken(name, `tensor '${entry.name}' overlaps the one before it`, entry.name);
    if (entry.begin > position)
      throw broken(name, `${entry.begin - position} bytes before tensor '${entry.name}' belong to no tensor`, entry.name);
    position = entry.end;
  }
  if (position !== fileSize) throw broken(name, `${fileSize - position} bytes after the last tensor belong to none`);
}

function elements(shape: readonly number[]): number {
  return shape.reduce((product, extent) => product * extent, 1);
}

function isCounts(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((item) => Number.isSafeInteger(item) && item >= 0);
}

function broken(file: string, problem: string, tensor?: string): RlpaError {
  return new RlpaError('invalid-file', `${file}: ${problem}.`, tensor === undefined ? { file } : { file, tensor });
}
