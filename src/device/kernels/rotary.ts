import { type KernelCall, numbered, reads, writes } from './kernel';
import { perElement } from './per-element';

/**
 * cos and sin [N, half] of position · θ^(−i/half). Angles grow to the context's length, where the builtins of GPUs are not accurate, so they
 * are brought to ±π/4 in three exact steps and evaluated as polynomials there (Cody & Waite 1980; coefficients of minimax polynomials).
 */
export function rotaryAngles(count: number, headSize: number): KernelCall {
  const half = headSize / 2;
  return perElement(
    {
      name: 'rotaryAngles',
      buffers: [...reads('i32', 'positions'), ...reads('f32', 'frequencies'), ...writes('f32', 'cosines', 'sines')],
      body: `    let angle = f32(positions[i / p.half]) * frequencies[i % p.half];
    let quarter = floor(angle * 0.63661977f + 0.5f);
    let r = ((angle - quarter * 1.5703125f) - quarter * 0.00048375129f) - quarter * 7.5497899e-8f;
    let q = u32(quarter) % 4u;
    let r2 = r * r;
    let s = r + r * r2 * (-0.16666655f + r2 * (0.0083321609f - r2 * 0.00019515296f));
    let c = 1.0f - 0.5f * r2 + r2 * r2 * (0.041666646f + r2 * (-0.0013887316f + r2 * 0.000024433157f));
    let swap = q % 2u == 1u;
    let cosine = select(c, s, swap);
    let sine = select(s, c, swap);
    cosines[i] = select(cosine, -cosine, q == 1u || q == 2u);
    sines[i] = select(sine, -sine, q >= 2u);`,
    },
    count * half,
    { half },
  );
}

/** θ^(−2i/size) for i < size/2, rounded as the CPU device has them. */
export function rotaryFrequencies(headSize: number, theta: number): Float32Array {
  return Float32Array.from({ length: headSize / 2 }, (_, i) => theta ** ((-2 * i) / headSize));
}

/**
 * Turns each pair (i, i + half) of every head of x [N, heads · size] by its angle. Two tensors with the same angles, such as queries and
 * keys, take one call: `heads` lists the heads of each.
 */
export function rotary(rows: number, headSize: number, heads: readonly number[], inverse: boolean): KernelCall {
  const half = headSize / 2;
  const total = heads.reduce((a, b) => a + b);
  const turn = (x: string, y: string, head: string, count: string) => `
      let k = (row * ${count} + ${head}) * 2u * p.half + column;
      let a = ${x}[k];
      let b = ${x}[k + p.half];
      ${y}[k] = a * c - b * s;
      ${y}[k + p.half] = b * c + a * s;`;
  return perElement(
    {
      name: `rotary${heads.length > 1 ? ' of two' : ''}${inverse ? ' inverse' : ''}`,
      buffers: [...reads('f32', 'cosines', 'sines', ...numbered('x', heads.length)), ...writes('f32', ...numbered('y', heads.length))],
      body: `    let column = i % p.half;
    let head = (i / p.half) % (p.heads0 + p.heads1);
    let row = i / p.half / (p.heads0 + p.heads1);
    let c = cosines[row * p.half + column];
    let s = ${inverse ? '-' : ''}sines[row * p.half + column];
    if (head < p.heads0) {${turn('x0', 'y0', 'head', 'p.heads0')}
    }${
      heads.length > 1
        ? ` else {${turn('x1', 'y1', '(head - p.heads0)', 'p.heads1')}
    }`
        : ''
    }`,
    },
    rows * total * half,
    { half, heads0: heads[0]!, heads1: heads[1] ?? 0 },
  );
}
