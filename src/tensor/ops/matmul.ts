import { RlpaError } from '../../errors';
import type { GradientRule } from '../gradient';
import type { Tensor } from '../graph';
import { expectRank } from '../shape';

/** How the factors of a product lie, and which of them is a gradient: the one whose numbers are by far the smaller, if one is. */
export interface ProductAttributes {
  readonly transposeA: boolean;
  readonly transposeB: boolean;
  readonly gradient?: 'a' | 'b';
}

/** Matrix product of a [M, K] and b [K, N]; either may be given transposed. Weights in Hugging Face's layout [out, in] take `transposeB`. */
export function matmul(
  a: Tensor,
  b: Tensor,
  { transposeA = false, transposeB = false, gradient }: Partial<ProductAttributes> = {},
): Tensor {
  expectRank('matmul', 'a', a.shape, 2);
  expectRank('matmul', 'b', b.shape, 2);
  const [rows, inner] = transposeA ? [a.shape[1]!, a.shape[0]!] : [a.shape[0]!, a.shape[1]!];
  const [innerB, columns] = transposeB ? [b.shape[1]!, b.shape[0]!] : [b.shape[0]!, b.shape[1]!];
  if (inner !== innerB) {
    throw new RlpaError(
      'invalid-graph',
      `matmul: [${a.shape}]${transposeA ? 'ᵀ' : ''} and [${b.shape}]${transposeB ? 'ᵀ' : ''} do not fit.`,
    );
  }
  return a.graph.apply('matmul', [a, b], { transposeA, transposeB, ...(gradient && { gradient }) }, [{ shape: [rows, columns] }])[0]!;
}

export const matmulRule: GradientRule = ({ inputs: [a, b], attributes }, [g]) => {
  const { transposeA, transposeB } = attributes as unknown as ProductAttributes;
  // y = A·B with A = a or aᵀ, B = b or bᵀ: dA = g·Bᵀ, dB = Aᵀ·g, transposed back where needed.
  const toA = transposeA
    ? matmul(b!, g!, { transposeA: transposeB, transposeB: true, gradient: 'b' })
    : matmul(g!, b!, { transposeB: !transposeB, gradient: 'a' });
  const toB = transposeB
    ? matmul(g!, a!, { transposeA: true, transposeB: transposeA, gradient: 'a' })
    : matmul(a!, g!, { transposeA: !transposeA, gradient: 'b' });
  return [toA, toB];
};
