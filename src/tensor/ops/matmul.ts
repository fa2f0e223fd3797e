import { RlpaError } from '../../errors';
import type { GradientRule } from '../gradient';
import type { Tensor } from '../graph';
import { expectRank } from '../shape';

/** Matrix product of a [M, K] and b [K, N]; either may be given transposed. Weights in Hugging Face's layout [out, in] take `transposeB`. */
export function matmul(a: Tensor, b: Tensor, { transposeA = false, transposeB = false } = {}): Tensor {
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
  return a.graph.apply('matmul', [a, b], { transposeA, transposeB }, [{ shape: [rows, columns] }])[0]!;
}

export const matmulRule: GradientRule = ({ inputs: [a, b], attributes }, [g]) => {
  const transposeA = attributes.transposeA as boolean;
  const transposeB = attributes.transposeB as boolean;
  // y = A·B with A = a or aᵀ, B = b or bᵀ: dA = g·Bᵀ, dB = Aᵀ·g, transposed back where needed.
  const toA = transposeA ? matmul(b!, g!, { transposeA: transposeB, transposeB: true }) : matmul(g!, b!, { transposeB: !transposeB });
  const toB = transposeB ? matmul(g!, a!, { transposeA: true, transposeB: transposeA }) : matmul(a!, g!, { transposeA: !transposeA });
  return [toA, toB];
};
