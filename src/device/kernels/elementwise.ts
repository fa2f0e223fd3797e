import { type KernelCall, numbered, reads, writes } from './kernel';
import { perElement } from './per-element';

/** How a value of an expression is found for element i: one for each, one for all, or one for each column of a row. */
export type Reach = 'each' | 'all' | 'column';

/** One step of a fused chain: an expression over earlier steps (`step`) and inputs (`input`). */
export interface ElementwiseStep {
  readonly operation: ElementwiseOperation;
  readonly operands: readonly (
    | { readonly step: number }
    | { readonly input: number; readonly reach: Reach }
    | { readonly constant: number }
  )[];
  /** The result is the same for every element. */
  readonly single: boolean;
}

const expressions = {
  add: ([a, b]: string[]) => `${a} + ${b}`,
  subtract: ([a, b]: string[]) => `${a} - ${b}`,
  multiply: ([a, b]: string[]) => `${a} * ${b}`,
  minimum: ([a, b]: string[]) => `min(${a}, ${b})`,
  maximum: ([a, b]: string[]) => `max(${a}, ${b})`,
  greaterOrEqual: ([a, b]: string[]) => `select(0.0f, 1.0f, ${a} >= ${b})`,
  exponential: ([a]: string[]) => `exp(${a})`,
  scale: ([a, factor]: string[]) => `${a} * ${factor}`,
  broadcast: ([a]: string[]) => `${a}`,
};

export type ElementwiseOperation = keyof typeof expressions;

export const isElementwise = (operation: string): operation is ElementwiseOperation => operation in expressions;

/**
 * A chain of elementwise operations as one pass over memory. `outputs` names the steps whose results are written, each to a buffer of its
 * own after the inputs; `width` is the number of columns that 'column' operands repeat over. Constants are uniforms.
 */
export function elementwise(
  steps: readonly ElementwiseStep[],
  inputs: number,
  outputs: readonly number[],
  { count, width }: { readonly count: number; readonly width: number },
): KernelCall {
  const constants: number[] = [];
  const lines = steps.map(({ operation, operands }, index) => {
    const values = operands.map((operand) => {
      if ('step' in operand) return `t${operand.step}`;
      if ('constant' in operand) return `p.constant${constants.push(operand.constant) - 1}`;
      return `x${operand.input}[${{ each: 'i', all: '0u', column: 'i % p.width' }[operand.reach]}]`;
    });
    return `    let t${index} = ${expressions[operation](values)};`;
  });
  const results = outputs.map((step, index) => {
    const write = `y${index}[${steps[step]!.single ? '0u' : 'i'}] = t${step};`;
    return steps[step]!.single ? `    if (i == 0u) { ${write} }` : `    ${write}`;
  });
  return perElement(
    {
      name: `elementwise ${steps.map(({ operation }) => operation).join(' ')}`,
      buffers: [...reads('f32', ...numbered('x', inputs)), ...writes('f32', ...numbered('y', outputs.length))],
      body: [...lines, ...results].join('\n'),
    },
    count,
    { width },
    Object.fromEntries(constants.map((value, index) => [`constant${index}`, value])),
  );
}
