import { type KernelCall, reads, writes } from '../kernels/index';
import { type AttentionSizes, type AttentionTile, attentionTile, attentionUniforms, range, Tiling, visibleEnd } from './attention-tiles';

type GradientSizes = AttentionSizes & { readonly segmented: boolean };

const segmentsIf = (segmented: boolean) => (segmented ? reads('i32', 'segments') : []);

/**
 * The gradient of attention with respect to the queries. Buffers: g (that of y), q, k, v, segments if `segmented`, y, stats, dq. Of `stats`
 * [B·T, heads, 2] it reads what the forward pass wrote and adds the second value, that {@link attentionGradientKeys} needs: Σ P·dP over the
 * keys. One buffer for both, since eight storage buffers a kernel is all that every adapter has.
 *
 * A workgroup owns queries of one head, computes their probabilities again tile by tile, and sums dS·K.
 */
export function attentionGradientQueries(sizes: GradientSizes, tile: AttentionTile = attentionTile(sizes)): KernelCall {
  const { batch, length, heads, kvHeads, headSize, segmented } = sizes;
  const tiling = new Tiling(headSize, tile);
  const { vectors, threads, own, others } = tiling;
  const columns = range(tile.others);
  const scale = `${1 / Math.sqrt(headSize)}f`;
  const rows = (value: (r: number) => string) => `vec4f(${range(4).map(value).join(', ')})`;
  const visible = (j: number) => {
    const key = `key0 + tx + ${j * tile.across}u`;
    return tiling.sees(`vec4u(${key}) <= own_rows`, key, segmented);
  };
  return {
    kernel: {
      name: `attentionGradientQueries ${headSize}${segmented ? ' segments' : ''} ${own}x${others}`,
      threads,
      portable: false,
      buffers: [
        ...['g', 'q', 'k', 'v'].map((name) => vectors.buffer(name)),
        ...segmentsIf(segmented),
        vectors.buffer('y'),
        ...writes('f32', 'stats'),
        vectors.buffer('dq', 'write'),
      ],
      uniforms: attentionUniforms,
      shared: [
        tiling.tileMemory('tile_k'),
        tiling.tileMemory('tile_v'),
        tiling.weightMemory('weights'),
        tiling.rowMemory('rows'),
        ...(segmented ? [tiling.endMemory] : []),
      ],
      body: `${tiling.ownQueries}
${tiling.firstTile(segmented)}
  let normalizers = ${rows((r) => `stats[entry${r} * 2u]`)};
  var g_y = vec4f();
  for (var d = 0u; d < ${vectors.quads}u; d++) {
    g_y += ${rows((r) => `dot(${vectors.read('g', `at${r}`, 'd')}, ${vectors.read('y', `at${r}`, 'd')})`)};
  }
  var rest = vec4f();
${tiling.declareSums(['dq'])}
  for (var number = first; number * ${others}u < own_end; number++) {
    let key0 = number * ${others}u;
    ${tiling.load(
      [
        { tile: 'tile_k', buffer: 'k' },
        { tile: 'tile_v', buffer: 'v' },
      ],
      `((row0 + min(key0 + row, p.length - 1u)) * p.kvHeads + kv) * ${vectors.pitch}u`,
    )}
    workgroupBarrier();
${tiling.products([
  { sum: 's', own: 'q', tile: 'tile_k' },
  { sum: 'dp', own: 'g', tile: 'tile_v' },
])}
    ${columns
      .map(
        (j) =>
          `let ds${j} = select(vec4f(), exp(s${j} * ${scale} - normalizers) * (dp${j} - g_y), ${visible(j)}); ${tiling.weight('weights', j)} = ds${j};`,
      )
      .join('\n    ')}
    rest += ${columns.map((j) => `ds${j}`).join(' + ')};
    workgroupBarrier();
${tiling.accumulate([{ sum: 'dq', weights: 'weights', tile: 'tile_k' }])}
    workgroupBarrier();
  }
${tiling.writeSums('dq', 'dq', () => scale)}
  // Σ P·dP equals g·y but for rounding, which is what is left of Σ dS. The bias of the keys lives on that cancellation.
  rows[lane] = rest;
  workgroupBarrier();
  if (tx == 0u) {
    ${tiling.alongRow('correction', 'rows', (a, b) => `${a} + ${b}`)}
    let weighted = g_y + correction;
    ${range(4)
      .map((r) => `if (t${r} < p.length) { stats[entry${r} * 2u + 1u] = weighted.${'xyzw'[r]}; }`)
      .join(' ')}
  }`,
    },
    uniforms: [batch, length, heads, kvHeads],
    groups: batch * heads * Math.ceil(length / own),
  };
}

/**
 * The gradients of attention with respect to keys and values. Buffers: g (that of y), q, k, v, segments if `segmented`, stats as
 * {@link attentionGradientQueries} left them, dk, dv.
 *
 * A workgroup owns keys of one key head and walks over the queries that may see them, of all the query heads that share it: each sum is
 * gathered in one place and in one order.
 */
export function attentionGradientKeys(sizes: GradientSizes, tile: AttentionTile = attentionTile(sizes)): KernelCall {
  const { batch, length, heads, kvHeads, headSize, segmented } = sizes;
  const tiling = new Tiling(headSize, tile);
  const { vectors, threads, own, others } = tiling;
  const columns = range(tile.others);
  const scale = `${1 / Math.sqrt(headSize)}f`;
  const begin = segmented
    ? `${visibleEnd('last_query', 'last', { from: 'own0', to: 'p.length' }, threads)}
  let end = last_query + 1u;
${tiling.ownSegments}`
    : '  let end = p.length;';
  return {
    kernel: {
      name: `attentionGradientKeys ${headSize}${segmented ? ' segments' : ''} ${own}x${others}`,
      threads,
      portable: false,
      buffers: [
        ...['g', 'q', 'k', 'v'].map((name) => vectors.buffer(name)),
        ...segmentsIf(segmented),
        ...reads('f32', 'stats'),
        vectors.buffer('dk', 'write'),
        vectors.buffer('dv', 'write'),
      ],
      uniforms: attentionUniforms,
      shared: [
        tiling.tileMemory('tile_q'),
        tiling.tileMemory('tile_g'),
        tiling.weightMemory('to_values'),
        tiling.weightMemory('to_keys'),
        ...(segmented ? [tiling.endMemory] : []),
      ],
      body: `${tiling.place}
  // the first keys are seen by most queries: they begin first
  let own0 = group / (p.batch * p.kvHeads) * ${own}u;
  let own_end = min(own0 + ${own}u, p.length);
  let b = group % (p.batch * p.kvHeads) / p.kvHeads;
  let kv = group % p.kvHeads;
  let share = p.heads / p.kvHeads;
  let row0 = b * p.length;
${tiling.ownRows('kv', 'p.kvHeads')}
${begin}
${tiling.declareSums(['dk', 'dv'])}
  for (var h = kv * share; h < (kv + 1u) * share; h++) {
  for (var start = own0 / ${others}u * ${others}u; start < end; start += ${others}u) {
    ${tiling.load(
      [
        { tile: 'tile_q', buffer: 'q' },
        { tile: 'tile_g', buffer: 'g' },
      ],
      `((row0 + min(start + row, p.length - 1u)) * p.heads + h) * ${vectors.pitch}u`,
    )}
    workgroupBarrier();
${tiling.products([
  { sum: 's', own: 'k', tile: 'tile_q' },
  { sum: 'dp', own: 'v', tile: 'tile_g' },
])}
    ${columns
      .map((j) => {
        const entry = `row0 + min(query${j}, p.length - 1u)`;
        const sees = `(own_rows <= vec4u(query${j})) & vec4<bool>(query${j} < p.length)`;
        const visible = tiling.sees(sees, `query${j}`, segmented);
        return `let query${j} = start + tx + ${j * tile.across}u; let stat${j} = ((${entry}) * p.heads + h) * 2u;
    let probability${j} = select(vec4f(), exp(s${j} * ${scale} - stats[stat${j}]), ${visible});
    ${tiling.weight('to_values', j)} = probability${j}; ${tiling.weight('to_keys', j)} = probability${j} * (dp${j} - stats[stat${j} + 1u]);`;
      })
      .join('\n    ')}
    workgroupBarrier();
${tiling.accumulate([
  { sum: 'dv', weights: 'to_values', tile: 'tile_g' },
  { sum: 'dk', weights: 'to_keys', tile: 'tile_q' },
])}
    workgroupBarrier();
  }
  }
${tiling.writeSums('dk', 'dk', () => scale)}
${tiling.writeSums('dv', 'dv', () => '1.0f')}`,
    },
    uniforms: [batch, length, heads, kvHeads],
    groups: batch * kvHeads * Math.ceil(length / own),
  };
}
