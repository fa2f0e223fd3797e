import { type KernelCall, reads } from '../kernels/index';
import { chunkAttention } from './attention';
import {
  type AttentionTile,
  attentionTile,
  attentionUniforms,
  type CacheSizes,
  cacheRow,
  HeadVectors,
  masked,
  range,
} from './attention-tiles';

/**
 * Attention of new tokens over a cache, for the meaning see the operation `cachedAttention`. Buffers: q [B·S, heads·size], k and v
 * [B·S, kvHeads·size], cachedKeys and cachedValues [rows, kvHeads, capacity, size], lengths [B] i32, with `chosen` cacheRows [B] i32,
 * y [B·S, heads·size].
 */
export function cachedAttention(sizes: CacheSizes, tile: AttentionTile = attentionTile(sizes)): KernelCall {
  return sizes.length === 1 ? decodeAttention(sizes) : chunkAttention(sizes, tile);
}

/** Most query heads of a workgroup: their sums are in registers. */
const mostHeads = 8;

/**
 * One new token a row. A workgroup serves the query heads that share a key head, and reads each filled entry of the cache once, in rounds of one
 * key a thread. The entries of a round belong to `slots` in turn, each with a maximum and sums of its own; the slots are joined at the end.
 */
function decodeAttention(sizes: CacheSizes): KernelCall {
  const { batch, heads, kvHeads, headSize, capacity, chosen } = sizes;
  const vectors = new HeadVectors(headSize);
  const { quads, pitch } = vectors;
  const share = heads / kvHeads;
  const parts = Math.ceil(share / mostHeads);
  const held = Math.ceil(share / parts);
  const across = Math.min(32, Math.max(4, 2 ** Math.ceil(Math.log2(quads))));
  const columns = range(Math.ceil(quads / across));
  const threads = Math.min(128, 8 * across);
  const slots = threads / across;
  const states = held * slots;
  // the heads' scores of one slot fall on different banks
  const stride = threads + slots;
  const each = range(held);
  const inHead = (c: number, statement: string) =>
    (c + 1) * across <= quads ? `{ ${statement} }` : `if (tx + ${c * across}u < ${quads}u) { ${statement} }`;
  const ofCache = (buffer: string, key: string, quad: string) => vectors.read(buffer, `(cache0 + ${key}) * ${pitch}u`, quad);
  return {
    kernel: {
      name: `decodeAttention ${headSize} ${share} heads${chosen ? ' chosen' : ''}`,
      threads,
      portable: false,
      buffers: [
        ...['q', 'k', 'v', 'cachedKeys', 'cachedValues'].map((name) => vectors.buffer(name)),
        ...reads('i32', 'lengths', ...(chosen ? ['cacheRows'] : [])),
        vectors.buffer('y', 'write'),
      ],
      uniforms: [...attentionUniforms, { name: 'capacity', type: 'u32' }],
      shared: [
        { name: 'queries', type: 'vec4f', size: held * quads },
        { name: 'scores', type: 'f32', size: held * stride },
        { name: 'maxima', type: 'f32', size: states },
        { name: 'totals', type: 'f32', size: states },
        { name: 'kept', type: 'f32', size: states },
        { name: 'partial', type: 'vec4f', size: held * threads },
        { name: 'filled', type: 'u32', size: 1 },
      ],
      body: `  let tx = lane % ${across}u;
  let slot = lane / ${across}u;
  let kv = group / ${parts}u % p.kvHeads;
  let b = group / (${parts}u * p.kvHeads);
  let first = kv * ${share}u + group % ${parts}u * ${held}u;
  let after = (kv + 1u) * ${share}u;
  let fresh = (b * p.kvHeads + kv) * ${pitch}u;
  let cache0 = (${cacheRow(sizes)} * p.kvHeads + kv) * p.capacity;
  if (lane == 0u) { filled[0] = min(u32(max(lengths[b], 0)), p.capacity); }
  for (var i = lane; i < ${held * quads}u; i += ${threads}u) {
    let at = (b * p.heads + min(first + i / ${quads}u, after - 1u)) * ${pitch}u;
    queries[i] = ${vectors.read('q', 'at', `(i % ${quads}u)`)} * ${1 / Math.sqrt(headSize)}f;
  }
  let entries = workgroupUniformLoad(&filled[0]);
  // slot 0 begins with the new token
  for (var i = lane; i < ${states}u; i += ${threads}u) {
    var score = ${masked};
    if (i % ${slots}u == 0u) {
      score = 0.0f;
      for (var d = 0u; d < ${quads}u; d++) { score += dot(queries[i / ${slots}u * ${quads}u + d], ${vectors.read('k', 'fresh', 'd')}); }
    }
    maxima[i] = score;
    totals[i] = select(0.0f, 1.0f, i % ${slots}u == 0u);
  }
${columns
  .map(
    (c) => `  var start_${c} = vec4f();
  if (slot == 0u) { ${inHead(c, `start_${c} = ${vectors.read('v', 'fresh', `(tx + ${c * across}u)`)};`)} }
  ${each.map((g) => `var o${g}_${c} = start_${c};`).join(' ')}`,
  )
  .join('\n')}
  for (var start = 0u; start < entries; start += ${threads}u) {
    let count = min(entries - start, ${threads}u);
    if (lane < count) {
      ${each.map((g) => `var s${g} = 0.0f;`).join(' ')}
      for (var d = 0u; d < ${quads}u; d++) {
        let key = ${ofCache('cachedKeys', 'start + lane', 'd')};
        ${each.map((g) => `{ let x = queries[${g * quads}u + d]; s${g} = s${g} + x.x * key.x + x.y * key.y + x.z * key.z + x.w * key.w; }`).join(' ')}
      }
      ${each.map((g) => `scores[${g * stride}u + lane] = s${g};`).join(' ')}
    }
    workgroupBarrier();
    for (var i = lane; i < ${states}u; i += ${threads}u) {
      let row = i / ${slots}u * ${stride}u;
      var maximum = maxima[i];
      for (var j = i % ${slots}u; j < count; j += ${slots}u) { maximum = max(maximum, scores[row + j]); }
      let factor = exp(maxima[i] - maximum);
      var total = totals[i] * factor;
      for (var j = i % ${slots}u; j < count; j += ${slots}u) {
        let weight = exp(scores[row + j] - maximum);
        scores[row + j] = weight;
        total += weight;
      }
      maxima[i] = maximum;
      totals[i] = total;
      kept[i] = factor;
    }
    workgroupBarrier();
    ${each.map((g) => `{ let factor = kept[${g * slots}u + slot]; ${columns.map((c) => `o${g}_${c} *= factor;`).join(' ')} }`).join(' ')}
    for (var j = slot; j < count; j += ${slots}u) {
      ${columns
        .map((c) =>
          inHead(
            c,
            `let value = ${ofCache('cachedValues', 'start + j', `(tx + ${c * across}u)`)}; ${each.map((g) => `o${g}_${c} += scores[${g * stride}u + j] * value;`).join(' ')}`,
          ),
        )
        .join('\n      ')}
    }
    workgroupBarrier();
  }
  workgroupBarrier();
  for (var i = lane; i < ${states}u; i += ${threads}u) {
    let own = i / ${slots}u * ${slots}u;
    var maximum = maxima[own];
    for (var other = 1u; other < ${slots}u; other++) { maximum = max(maximum, maxima[own + other]); }
    kept[i] = exp(maxima[i] - maximum);
  }
  workgroupBarrier();
${columns
  .map(
    (c) => `  ${each.map((g) => `partial[${g * threads}u + lane] = o${g}_${c} * kept[${g * slots}u + slot];`).join(' ')}
  workgroupBarrier();
  for (var i = lane; i < ${held * across}u; i += ${threads}u) {
    let g = i / ${across}u;
    let column = i % ${across}u + ${c * across}u;
    var sum = vec4f();
    var total = 0.0f;
    for (var other = 0u; other < ${slots}u; other++) {
      sum += partial[g * ${threads}u + other * ${across}u + i % ${across}u];
      total += totals[g * ${slots}u + other] * kept[g * ${slots}u + other];
    }
    if (first + g < after && column < ${quads}u) { ${vectors.write('y', `((b * p.heads + first + g) * ${pitch}u)`, 'column', 'sum / total')} }
  }${c + 1 < columns.length ? '\n  workgroupBarrier();' : ''}`,
  )
  .join('\n')}`,
    },
    uniforms: [batch, 1, heads, kvHeads, capacity],
    groups: batch * kvHeads * parts,
  };
}
