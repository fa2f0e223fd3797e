import type { Kernel, KernelCall } from './kernel';

const threads = 256;

/**
 * A portable kernel with a thread for each of `count` elements, whose statements find its index as `i`.
 *
 * @param sizes uniforms beside `count`, u32, by their names
 * @param numbers the same in f32
 */
export function perElement(
  { name, buffers, body }: Pick<Kernel, 'name' | 'buffers' | 'body'>,
  count: number,
  sizes: Readonly<Record<string, number>> = {},
  numbers: Readonly<Record<string, number>> = {},
): KernelCall {
  const all = { count, ...sizes };
  return {
    kernel: {
      name,
      threads,
      portable: true,
      buffers,
      uniforms: [
        ...Object.keys(all).map((size) => ({ name: size, type: 'u32' }) as const),
        ...Object.keys(numbers).map((number) => ({ name: number, type: 'f32' }) as const),
      ],
      body: `  let i = group * ${threads}u + lane;
  if (i < p.count) {
${body}
  }`,
    },
    uniforms: [...Object.values(all), ...Object.values(numbers)],
    groups: Math.ceil(count / threads),
  };
}
