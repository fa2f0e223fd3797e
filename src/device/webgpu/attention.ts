import { type KernelBuffer, type KernelCall, reads, writes } from '../kernels/index';
import {
  type AttentionSizes,
  type AttentionTile,
  attentionTile,
  attentionUniforms,
  type CacheSizes,
  cacheRow,
  masked,
  range,
  Tiling,
} from './attention-tiles';

/**
 * Causal attention, for the meaning see the operation `attention`. Buffers: q [B·T, heads·size], k and v [B·T, kvHeads·size], segments [B·T]
 * if `segmented`, y [B·T, heads·size] and `stats` [B·T, heads, 2], whose first value becomes the log of each query's normaliser; the second
 * is left to {@link attentionGradientQueries}.
 *
 * A workgroup owns some queries of one head. It brings one tile of keys after the other to shared memory and keeps, for each query, the
 * maximum and the sum of what it has seen (online softmax); tiles after its last query are never touched.
 */
export function attentionForward(
  sizes: AttentionSizes & { readonly segmented: boolean },
  tile: AttentionTile = attentionTile(sizes),
): KernelCall {
  return forward(sizes, sizes.segmented ? 'segments' : 'sequence', tile);
}

/**
 * Several new tokens a row over a cache and over each other, see the operation `cachedAttention`. Buffers: q [B·S, heads·size], k and v
 * [B·S, kvHeads·size], cachedKeys and cachedValues [rows, kvHeads, capacity, size], lengths [B] i32, with `chosen` cacheRows [B] i32,
 * y [B·S, heads·size].
 */
export function chunkAttention(sizes: CacheSizes, tile: AttentionTile = attentionTile(sizes)): KernelCall {
  const { kernel, uniforms, groups } = forward(sizes, sizes.chosen ? 'chosen cache' : 'cache', tile);
  return { kernel, uniforms: [...uniforms, sizes.capacity], groups };
}

function forward(sizes: AttentionSizes, source: 'sequence' | 'segments' | 'cache' | 'chosen cache', tile: AttentionTile): KernelCall {
  const { batch, length, heads, kvHeads, headSize } = sizes;
  const tiling = new Tiling(headSize, tile);
  const { vectors, threads, own, others } = tiling;
  const segmented = source === 'segments';
  const chosen = source === 'chosen cache';
  const cached = source === 'cache' || chosen;
  const columns = range(tile.others);
  const visible = (j: number) => {
    const key = `key0 + tx + ${j * tile.across}u`;
    return tiling.sees(`vec4u(${key}) < limits`, key, segmented);
  };
  const load = (name: string, which: 'k' | 'v', number: string) => {
    const fresh = `((row0 + min(start + row, p.length - 1u)) * p.kvHeads + kv) * ${vectors.pitch}u`;
    if (!cached) return `{ let start = ${number} * ${others}u; ${tiling.load([{ tile: name, buffer: which }], fresh)} }`;
    const kept = `((${cacheRow({ chosen })} * p.kvHeads + kv) * p.capacity + min(start + row, entries - 1u)) * ${vectors.pitch}u`;
    const cache = which === 'k' ? 'cachedKeys' : 'cachedValues';
    return `if (${number} < old_tiles) {
      let start = ${number} * ${others}u; ${tiling.load([{ tile: name, buffer: cache }], kept)}
    } else {
      let start = (${number} - old_tiles) * ${others}u; ${tiling.load([{ tile: name, buffer: which }], fresh)}
    }`;
  };
  const buffers: KernelBuffer[] = [vectors.buffer('q'), vectors.buffer('k'), vectors.buffer('v')];
  if (segmented) buffers.push(...reads('i32', 'segments'));
  if (cached)
    buffers.push(
      vectors.buffer('cachedKeys'),
      vectors.buffer('cachedValues'),
      ...reads('i32', 'lengths', ...(chosen ? ['cacheRows'] : [])),
    );
  buffers.push(vectors.buffer('y', 'write'));
  if (!cached) buffers.push(...writes('f32', 'stats'));
  const begin = cached
    ? `  if (lane == 0u) { filled[0] = min(u32(max(lengths[b], 0)), p.capacity); }
  let entries = workgroupUniformLoad(&filled[0]);
  let old_tiles = (entries + ${others - 1}u) / ${others}u;
  let first = 0u;`
    : tiling.firstTile(segmented);
  const shared = [tiling.tileMemory('tile_k'), tiling.tileMemory('tile_v'), tiling.weightMemory('weights'), tiling.rowMemory('rows')];
  return {
    kernel: {
      name: `attention ${headSize} ${source} ${own}x${others}`,
      threads,
      portable: false,
      buffers,
      uniforms: [...attentionUniforms, ...(cached ? [{ name: 'capacity', type: 'u32' } as const] : [])],
      shared: [...shared, ...(cached ? [{ name: 'filled', type: 'u32', size: 1 } as const] : []), ...(segmented ? [tiling.endMemory] : [])],
      body: `${tiling.ownQueries}
${begin}
  let end = ${cached ? 'old_tiles + ' : ''}(own_end + ${others - 1}u) / ${others}u;
  var maximum = vec4f(${masked});
  var total = vec4f();
${tiling.declareSums(['o'])}
  ${load('tile_k', 'k', 'first')}
  workgroupBarrier();
  for (var number = first; number < end; number++) {
${tiling.products([{ sum: 's', own: 'q', tile: 'tile_k' }])}
    ${
      cached
        ? `let old = number < old_tiles;
    let key0 = (number - select(old_tiles, 0u, old)) * ${others}u;
    let limits = select(own_rows + 1u, vec4u(entries), old);`
        : `let key0 = number * ${others}u;
    let limits = own_rows + 1u;`
    }
    ${columns.map((j) => `let score${j} = select(vec4f(${masked}), s${j} * ${1 / Math.sqrt(headSize)}f, ${visible(j)});`).join('\n    ')}
    rows[lane] = ${columns.slice(1).reduce((all, j) => `max(${all}, score${j})`, 'score0')};
    workgroupBarrier();
    ${tiling.alongRow('highest', 'rows', (a, b) => `max(${a}, ${b})`)}
    highest = max(highest, maximum);
    let kept = exp(maximum - highest);
    maximum = highest;
    ${columns.map((j) => `let weight${j} = exp(score${j} - highest); ${tiling.weight('weights', j)} = weight${j};`).join('\n    ')}
    total = total * kept + ${columns.map((j) => `weight${j}`).join(' + ')};
    ${tiling.eachSum(['o'], (name, r) => `${name} *= kept.${'xyzw'[r]};`).join(' ')}
    ${load('tile_v', 'v', 'number')}
    if (number + 1u < end) {
    ${load('tile_k', 'k', '(number + 1u)')}
    }
    workgroupBarrier();
${tiling.accumulate([{ sum: 'o', weights: 'weights', tile: 'tile_v' }])}
  }
  rows[lane] = total;
  workgroupBarrier();
  ${tiling.alongRow('normalizer', 'rows', (a, b) => `${a} + ${b}`)}
  let inverse = 1.0f / normalizer;
${tiling.writeSums('o', 'y', (r) => `inverse.${'xyzw'[r]}`)}
${
  cached
    ? ''
    : `  if (tx == 0u) {
    let logarithms = maximum + log(normalizer);
    ${range(4)
      .map((r) => `if (t${r} < p.length) { stats[entry${r} * 2u] = logarithms.${'xyzw'[r]}; }`)
      .join(' ')}
  }`
}`,
    },
    uniforms: [batch, length, heads, kvHeads],
    groups: batch * heads * Math.ceil(length / own),
  };
}
