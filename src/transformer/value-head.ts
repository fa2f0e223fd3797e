import { add, type Graph, matmul, reshape, type Shape, type Tensor } from '../tensor/index';

/** Names and shapes of the value head's tensors: one linear unit on the final hidden state. */
export function valueHeadShapes(hiddenSize: number): Map<string, Shape> {
  return new Map<string, Shape>([
    ['value_head.weight', [1, hiddenSize]],
    ['value_head.bias', [1]],
  ]);
}

/** V of each row: hidden [M, d] → [M]. Starts at zero, so that the first advantages are the returns themselves. */
export function valueHead(graph: Graph, hidden: Tensor): Tensor {
  const [rows, width] = hidden.shape as [number, number];
  const product = matmul(hidden, graph.buffer('value_head.weight', [1, width]), { transposeB: true });
  return add(reshape(product, [rows]), reshape(graph.buffer('value_head.bias', [1]), []));
}
