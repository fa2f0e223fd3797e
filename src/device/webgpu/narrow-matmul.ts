import { accumulation, type KernelCall, reads, writes } from '../kernels/index';
import type { MatmulShape } from './matmul';

/** Most rows of {@link narrowMatmul}. */
export const narrowRows = 16;

/**
 * The product of few rows with a matrix given as [N, K], as in decoding: reads the matrix once, and is limited by that. Sixteen threads share
 * the K of four columns, each holding all rows of them.
 */
export function narrowMatmul(shape: MatmulShape): KernelCall {
  const { rows, columns, inner, bias = false, accumulate = '', alpha = 1 } = shape;
  const wide = inner % 4 === 0;
  const held = [1, 2, 4, 8, 16].find((size) => size >= rows)!;
  const shares = 16;
  const own = held > 8 ? 2 : 4;
  const threads = 64;
  const perGroup = (threads / shares) * own;
  const range = (count: number) => Array.from({ length: count }, (_, index) => index);
  const type = wide ? 'vec4f' : 'f32';
  const { buffers, term } = accumulation(accumulate);
  const cells = range(held).flatMap((r) => range(own).map((c) => ({ r, c })));
  const step = wide ? 'p.inner / 4u' : 'p.inner';
  const times = (x: string, y: string) => (wide ? `dot(${x}, ${y})` : `${x} * ${y}`);
  return {
    kernel: {
      name: `matmul of ${held} rows bᵀ`,
      threads,
      portable: false,
      buffers: [...reads(type, 'a', 'b'), ...(bias ? reads('f32', 'bias') : []), ...buffers, ...writes('f32', 'y')],
      uniforms: [
        { name: 'rows', type: 'u32' },
        { name: 'columns', type: 'u32' },
        { name: 'inner', type: 'u32' },
        { name: 'alpha', type: 'f32' },
      ],
      shared: [{ name: 'scratch', type: 'f32', size: held * perGroup * shares }],
      body: `  let share = lane % ${shares}u;
  let first = group * ${perGroup}u + lane / ${shares}u * ${own}u;
  let length = ${step};
${cells.map(({ r, c }) => `  var acc${r}_${c} = 0.0f;`).join('\n')}
${range(own)
  .map((c) => `  let at_b${c} = min(first + ${c}u, p.columns - 1u) * length;`)
  .join('\n')}
${range(held)
  .map((r) => `  let at_a${r} = min(${r}u, p.rows - 1u) * length;`)
  .join('\n')}
  for (var k = share; k < length; k += ${shares}u) {
${range(own)
  .map((c) => `    let b${c} = b[at_b${c} + k];`)
  .join('\n')}
${range(held)
  .map(
    (r) =>
      `    { let x = a[at_a${r} + k]; ${range(own)
        .map((c) => `acc${r}_${c} += ${times('x', `b${c}`)};`)
        .join(' ')} }`,
  )
  .join('\n')}
  }
${cells.map(({ r, c }) => `  scratch[(${r * perGroup + c}u + lane / ${shares}u * ${own}u) * ${shares}u + share] = acc${r}_${c};`).join('\n')}
  workgroupBarrier();
  for (var i = lane; i < ${held * perGroup}u; i += ${threads}u) {
    let r = i / ${perGroup}u;
    let c = group * ${perGroup}u + i % ${perGroup}u;
    if (r < p.rows && c < p.columns) {
      var sum = 0.0f;
      for (var s = 0u; s < ${shares}u; s++) { sum += scratch[i * ${shares}u + (s + lane) % ${shares}u]; }
      let k = r * p.columns + c;
      y[k] = ${alpha === 1 ? 'sum' : 'p.alpha * sum'}${bias ? ' + bias[c]' : ''}${term('k')};
    }
  }`,
    },
    uniforms: [rows, columns, inner, alpha],
    groups: Math.ceil(columns / perGroup),
  };
}
