/* Sizes that programs are compiled for: few, so that what comes mostly finds its program. */

/** Rounds up so that few different shapes are compiled: to multiples of the step, coarser as the size grows. */
export function sizeBucket(size: number, step: number): number {
  let grain = step;
  while (size > 8 * grain) grain *= 2;
  return Math.max(grain, Math.ceil(size / grain) * grain);
}

/** Row counts that programs are compiled for: powers of two, and halfway between them. */
export function rowBucket(rows: number): number {
  let size = 1;
  while (size < rows) size *= 2;
  return size >= 4 && (size * 3) / 4 >= rows ? (size * 3) / 4 : size;
}

/** So many rows in as many programs as compute them in the least time: an eighth of padding costs more than a program for the rest. */
export function rowParts(rows: number): readonly number[] {
  const bucket = rowBucket(rows);
  if (rows <= 8 || bucket - rows < bucket / 8) return [rows];
  let full = rows;
  while (rowBucket(full) > full) full--;
  return [full, rows - full];
}

/** Lengths of the chunks that prompts are fed in. */
const chunkLengths = [8, 16, 32, 64, 128, 256, 384, 512];

/** The longest chunk, unless more is asked for. */
export const usualChunk = 256;

/**
 * The length of the chunk in which so many tokens are fed, or begin to be; 1 where there are none, and what was sampled is fed. A chunk that
 * would be mostly padding gives way to a smaller one, after which a rest is left.
 */
export function chunkLength(tokens: number, longest = usualChunk): number {
  if (tokens === 0) return 1;
  const lengths = chunkLengths.filter((length) => length <= longest);
  const place = lengths.findIndex((length) => length >= tokens);
  if (place < 0) return lengths.at(-1)!;
  const [length, smaller] = [lengths[place]!, lengths[place - 1] ?? 0];
  return length <= 16 || tokens > (smaller + length) / 2 ? length : smaller;
}

/** The numbers of cached entries that programs are compiled for: none, which is several times as fast, or 64, 128, 256 and so on. */
export function filledBucket(entries: number, capacity: number): number {
  if (entries === 0) return 0;
  let size = 64;
  while (size < entries) size *= 2;
  return Math.min(size, capacity);
}
