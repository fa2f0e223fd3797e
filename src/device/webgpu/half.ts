import type { MatmulShape } from './matmul';

/**
 * By what a gradient is multiplied before it is rounded to half precision, and its product divided. Half precision holds numbers from 6e-8
 * (below 6e-5 with fewer digits) to 65,504, and so gradients from 6e-11 (6e-8) to 64; those of a mean over thousands of tokens lie around
 * 1e-7. A power of two changes no digit.
 */
const gradientScale = 1024;

/** Functions of {@link toHalf}. What is beyond the largest number is cut off, but what is no number stays none: training finds it and ends. */
export const halfFunctions = `fn toHalf(x: vec4f) -> vec4h {
  let is_number = (bitcast<vec4u>(x) & vec4u(0x7f800000u)) != vec4u(0x7f800000u);
  return vec4h(select(x, clamp(x, vec4f(-65504.0f), vec4f(65504.0f)), is_number));
}`;

/** A factor's vector of four in half precision. */
export const toHalf = (name: 'a' | 'b') => (vector: string) => `toHalf(${vector} * p.scale_${name})`;

/** The uniforms of a product in half precision. */
export const halfUniforms = [
  { name: 'scale_a', type: 'f32' },
  { name: 'scale_b', type: 'f32' },
] as const;

/** Their values, and by what a product of scaled factors is to be multiplied. */
export function scalesOf({ gradient, alpha = 1 }: MatmulShape): { readonly scales: readonly [number, number]; readonly alpha: number } {
  const scales = [gradient === 'a' ? gradientScale : 1, gradient === 'b' ? gradientScale : 1] as const;
  return { scales, alpha: alpha / scales[0] / scales[1] };
}
