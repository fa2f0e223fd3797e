import type { Node, Tensor } from '../../tensor/index';
import type { Name, OnnxModel } from './onnx';

export const contrib = 'com.microsoft';
/** Added to a score that must not count. Finite, so that a row without any visible key gives no NaN. */
export const masked = -1e30;

/** What a kernel gets to write its ONNX nodes with. */
export interface Lowering {
  readonly model: OnnxModel;
  readonly node: Node;
  readonly inputs: readonly Name[];
  /** Which outputs somebody reads; the others need not be computed. */
  readonly used: readonly boolean[];
  /** Computes something once for a whole graph, such as a mask that all layers share. */
  readonly shared: <T>(key: string, build: () => T) => T;
}

/** Writes the ONNX nodes of one operation and returns the names of its outputs ('' where unused). */
export type Kernel = (lowering: Lowering) => readonly Name[];

export const shapeOf = (tensor: Tensor | undefined): readonly number[] => tensor!.shape;

export function matmul(model: OnnxModel, a: Name, b: Name, { transposeA = false, transposeB = false, alpha = 1 } = {}): Name {
  if (!transposeA && !transposeB && alpha === 1) return model.node('MatMul', [a, b]);
  return model.node('FusedMatMul', [a, b], { transA: { int: Number(transposeA) }, transB: { int: Number(transposeB) }, alpha }, contrib);
}

/** Rows of a product from which on it no longer matters which operand is the right one. */
export const manyRows = 128;

/**
 * x·Wᵀ for x [rows, d] and W [columns, d]. A matrix product arranges its right operand anew in memory before it multiplies; with few rows that
 * takes longer than the product. W is the left operand then: (W·xᵀ)ᵀ has twice the speed at 16 rows.
 */
export function project(model: OnnxModel, x: Name, weight: Name, rows: number, columns: number): Name {
  if (rows === 1 || rows >= manyRows || columns <= rows) return matmul(model, x, weight, { transposeB: true });
  return model.node('Transpose', [matmul(model, weight, x, { transposeB: true })], { perm: { ints: [1, 0] } });
}

/** Rows start…end of a matrix or a vector. */
export function sliceRows(model: OnnxModel, name: Name, start: number, end: number, rows: number): Name {
  if (start === 0 && end === rows) return name;
  return model.node('Slice', [name, model.integers(start), model.integers(end), model.integers(0)]);
}

export function joinRows(model: OnnxModel, parts: readonly Name[]): Name {
  return parts.length === 1 ? parts[0]! : model.node('Concat', parts, { axis: { int: 0 } });
}
