export { gradients } from './gradient';
export { type Append, type Attributes, Graph, type Node, type Tensor } from './graph';
export { type OperationName, operationNames } from './operations';
export * from './ops/index';
export { type ElementType, type Shape, sameShape, sizeOf } from './shape';
