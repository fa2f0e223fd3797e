import { RlpaError } from '../errors';

/** Sizes of a tensor's axes, outermost first. `[]` is a scalar. */
export type Shape = readonly number[];

export type ElementType = 'f32' | 'i32';

export function sizeOf(shape: Shape): number {
  return shape.reduce((product, size) => product * size, 1);
}

export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((size, axis) => size === b[axis]);
}

/** Throws `invalid-graph` unless the shape is the expected one. */
export function expectShape(operation: string, what: string, shape: Shape, expected: Shape): void {
  if (!sameShape(shape, expected)) {
    throw new RlpaError('invalid-graph', `${operation}: ${what} must have shape [${expected}], found [${shape}].`, {
      operation,
      expected,
      found: shape,
    });
  }
}

export function expectRank(operation: string, what: string, shape: Shape, rank: number): void {
  if (shape.length !== rank) {
    throw new RlpaError('invalid-graph', `${operation}: ${what} must have ${rank} axes, found [${shape}].`, {
      operation,
      rank,
      found: shape,
    });
  }
}
