import type { MatmulShape } from './matmul';

/**
 * By what a gradient is multiplied before it is rounded to half precision, and its product divided. Half precision holds numbers from 6e-8
 * (below 6e-5 with fewer digits) to 65,504; gradients of a mean over thousands of tokens lie around 1e-7. A power of two changes no digit.
 */
const gradientScale = 4096;

/** Largest finite number of half precision: what is beyond is cut off here, instead of becoming infinite. */
const largest = '65504.0f';

/** A factor's vector of four in half precision. */
export const toHalf = (name: 'a' | 'b') => (vector: string) =>
  `vec4h(clamp(${vector} * p.scale_${name}, vec4f(-${largest}), vec4f(${largest})))`;

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
