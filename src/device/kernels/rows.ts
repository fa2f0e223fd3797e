import { type Accumulate, accumulation, type KernelCall, reads, writes } from './kernel';
import { perElement } from './per-element';

/** Picks rows: table [V, width], rows [M] → y [M, width]. */
export function gather(count: number, width: number, type: 'f32' | 'i32' = 'f32'): KernelCall {
  return perElement(
    {
      name: `gather ${type}`,
      buffers: [...reads(type, 'table'), ...reads('i32', 'rows'), ...writes(type, 'y')],
      body: '    y[i] = table[u32(rows[i / p.width]) * p.width + i % p.width];',
    },
    count * width,
    { width },
  );
}

/** Four bytes at a time, whatever they are: as floats some integers would not survive it. */
export function copy(count: number): KernelCall {
  return perElement({ name: 'copy', buffers: [...reads('i32', 'x'), ...writes('i32', 'y')], body: '    y[i] = x[i];' }, count);
}

/**
 * The integers of y where condition ≤ 0, those of x elsewhere: y [M] holds them before and after. With `chosen` `rows` [M] says which of y
 * those of x stand for.
 */
export function select(count: number, chosen = false): KernelCall {
  return perElement(
    {
      name: `select i32${chosen ? ' chosen' : ''}`,
      buffers: [...reads('i32', 'condition', 'x', ...(chosen ? ['rows'] : [])), ...writes('i32', 'y')],
      body: `    if (condition[i] > 0) { y[${chosen ? 'u32(rows[i])' : 'i'}] = x[i]; }`,
    },
    count,
  );
}

/**
 * Adds rows of values [M, width] to the rows of y [height, width] that they belong to. GPUs have no exact way to add from several threads at
 * once, so each element of y looks up its own: `order` lists the rows of values by the row of y that they go to, `starts` [height + 1] where
 * each row's part of that list begins. The sum is always taken in the same order.
 */
export function scatterAdd(height: number, width: number, accumulate: Accumulate): KernelCall {
  const { buffers, term } = accumulation(accumulate);
  return perElement(
    {
      name: `scatterAdd${accumulate}`,
      buffers: [...reads('f32', 'values'), ...reads('i32', 'starts', 'order'), ...buffers, ...writes('f32', 'y')],
      body: `    let row = i / p.width;
    let column = i % p.width;
    var sum = 0.0f;
    for (var k = starts[row]; k < starts[row + 1u]; k = k + 1) { sum = sum + values[u32(order[k]) * p.width + column]; }
    y[i] = sum${term('i')};`,
    },
    height * width,
    { width },
  );
}

/**
 * Writes the first counts[b] new keys and values of each row of a batch to its row of the caches, from entry offsets[b] on. Buffers: k and v
 * [B·S, kvHeads·size], offsets and counts [B] i32, with `chosen` the rows' places in the caches [B] i32, cachedKeys and cachedValues
 * [rows, kvHeads, capacity, size]. What would lie behind the capacity is left out.
 */
export function appendToCache(
  { batch, length, kvHeads, headSize, capacity }: Readonly<Record<'batch' | 'length' | 'kvHeads' | 'headSize' | 'capacity', number>>,
  chosen = false,
): KernelCall {
  return perElement(
    {
      name: `appendToCache${chosen ? ' chosen' : ''}`,
      buffers: [
        ...reads('f32', 'k', 'v'),
        ...reads('i32', 'offsets', 'counts', ...(chosen ? ['rows'] : [])),
        ...writes('f32', 'cachedKeys', 'cachedValues'),
      ],
      body: `    let head = i / p.headSize;
    let token = head / p.kvHeads;
    let b = token / p.length;
    let entry = u32(offsets[b]) + token % p.length;
    if (token % p.length < u32(counts[b]) && entry < p.capacity) {
      let to = ((${chosen ? 'u32(rows[b])' : 'b'} * p.kvHeads + head % p.kvHeads) * p.capacity + entry) * p.headSize + i % p.headSize;
      cachedKeys[to] = k[i];
      cachedValues[to] = v[i];
    }`,
    },
    batch * length * kvHeads * headSize,
    { length, kvHeads, headSize, capacity },
  );
}
