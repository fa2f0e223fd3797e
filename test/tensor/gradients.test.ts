import { afterAll, describe, expect, it } from 'vitest';
import { headChunkRows } from '../../src/device/cpu/head';
import type { Device, NumberArray } from '../../src/device/index';
import { Random } from '../../src/random';
import {
  add,
  attention,
  broadcast,
  exponential,
  Graph,
  gather,
  gradients,
  headLogProbability,
  matmul,
  maximum,
  minimum,
  multiply,
  reshape,
  rmsNorm,
  rotary,
  rotaryAngles,
  type Shape,
  scale,
  scatterAdd,
  sizeOf,
  subtract,
  sum,
  sumRows,
  swiglu,
  type Tensor,
} from '../../src/tensor/index';
import { devices } from '../device';

interface Case {
  name: string;
  /** Shapes of the differentiable inputs. */
  inputs: Shape[];
  integers?: { shape: Shape; values: number[] }[];
  build(inputs: Tensor[], integers: Tensor[]): Tensor | Tensor[];
  /** Of each input, the elements that are moved, where there are too many to move all. */
  elements?: number[][];
  /** The only device that it says something about, and that computes it in bearable time. */
  on?: string;
}

/** A head of more rows than the CPU turns into logits at a time. Those that count are the first, the last, and those at the border. */
function severalChunks(): Case {
  const [vocabulary, width] = [9000, 3];
  const border = headChunkRows(vocabulary);
  const rows = border + 20;
  const counted = [0, border - 1, border, rows - 1];
  const chosen = [7, 8999, 7, 4500];
  return {
    name: 'headLogProbability over several chunks of rows',
    on: 'cpu',
    inputs: [
      [rows, width],
      [vocabulary, width],
    ],
    integers: [
      { shape: [rows], values: Array.from({ length: rows }, (_, row) => chosen[counted.indexOf(row)] ?? row) },
      { shape: [counted.length], values: counted },
    ],
    build: ([h, w], [targets, rowsThatCount]) => {
      const { logProbabilities, entropies } = headLogProbability(h!, w!, targets!, h!.graph.scalar(0.8));
      return [logProbabilities, entropies].map((results) => gather(reshape(results, [rows, 1]), rowsThatCount!));
    },
    elements: [counted, chosen].map((among) => among.flatMap((row) => [row * width, row * width + 2])),
  };
}

const cases: Case[] = [
  {
    name: 'add',
    inputs: [
      [3, 5],
      [3, 5],
    ],
    build: ([a, b]) => add(a!, b!),
  },
  { name: 'add with a row', inputs: [[3, 5], [5]], build: ([a, b]) => add(a!, b!) },
  { name: 'add with a scalar', inputs: [[], [3, 5]], build: ([a, b]) => add(a!, b!) },
  { name: 'subtract', inputs: [[4, 3], [3]], build: ([a, b]) => subtract(a!, b!) },
  { name: 'multiply', inputs: [[4, 3], [3]], build: ([a, b]) => multiply(a!, b!) },
  { name: 'multiply by a scalar', inputs: [[], [7]], build: ([a, b]) => multiply(a!, b!) },
  { name: 'minimum', inputs: [[9], [9]], build: ([a, b]) => minimum(a!, b!) },
  { name: 'maximum with a scalar', inputs: [[9], []], build: ([a, b]) => maximum(a!, b!) },
  { name: 'scale', inputs: [[6]], build: ([a]) => scale(a!, -0.7) },
  { name: 'exponential', inputs: [[6]], build: ([a]) => exponential(a!) },
  { name: 'sum', inputs: [[2, 3]], build: ([a]) => sum(a!) },
  { name: 'sumRows', inputs: [[5, 3]], build: ([a]) => sumRows(a!) },
  { name: 'broadcast', inputs: [[3]], build: ([a]) => broadcast(a!, [5, 3]) },
  { name: 'reshape', inputs: [[4, 3]], build: ([a]) => reshape(a!, [12]) },
  {
    name: 'matmul',
    inputs: [
      [3, 5],
      [5, 2],
    ],
    build: ([a, b]) => matmul(a!, b!),
  },
  {
    name: 'matmul with a transposed',
    inputs: [
      [5, 3],
      [5, 2],
    ],
    build: ([a, b]) => matmul(a!, b!, { transposeA: true }),
  },
  {
    name: 'matmul with b transposed',
    inputs: [
      [3, 5],
      [2, 5],
    ],
    build: ([a, b]) => matmul(a!, b!, { transposeB: true }),
  },
  {
    name: 'matmul with both transposed',
    inputs: [
      [5, 3],
      [2, 5],
    ],
    build: ([a, b]) => matmul(a!, b!, { transposeA: true, transposeB: true }),
  },
  {
    name: 'gather, a row picked twice',
    inputs: [[6, 4]],
    integers: [{ shape: [5], values: [1, 0, 5, 1, 3] }],
    build: ([t], [rows]) => gather(t!, rows!),
  },
  {
    name: 'scatterAdd, rows colliding',
    inputs: [[5, 4]],
    integers: [{ shape: [5], values: [1, 0, 5, 1, 3] }],
    build: ([v], [rows]) => scatterAdd(v!, rows!, 7),
  },
  { name: 'rmsNorm', inputs: [[4, 6], [6]], build: ([x, w]) => rmsNorm(x!, w!, 1e-5) },
  {
    name: 'rotary',
    inputs: [[5, 12]],
    integers: [{ shape: [5], values: [0, 1, 2, 7, 3] }],
    build: ([x], [p]) => rotary(x!, rotaryAngles(p!, 4, 1e4), 3),
  },
  {
    name: 'swiglu',
    inputs: [
      [4, 5],
      [4, 5],
    ],
    build: ([g, u]) => swiglu(g!, u!),
  },
  ...[
    { heads: 2, kvHeads: 2 },
    { heads: 4, kvHeads: 2 },
    { heads: 3, kvHeads: 1 },
  ].flatMap(({ heads, kvHeads }) =>
    [1, 5].map(
      (length): Case => ({
        name: `attention, ${heads} heads over ${kvHeads}, length ${length}`,
        inputs: [
          [2 * length, heads * 4],
          [2 * length, kvHeads * 4],
          [2 * length, kvHeads * 4],
        ],
        build: ([q, k, v]) => attention(q!, k!, v!, { batch: 2, length, heads, kvHeads, headSize: 4 }),
      }),
    ),
  ),
  {
    name: 'attention with segments',
    inputs: [
      [12, 8],
      [12, 4],
      [12, 4],
    ],
    integers: [{ shape: [12], values: [-1, -1, 0, 0, 0, 0, 0, 0, 1, 1, 1, -1] }],
    build: ([q, k, v], [segments]) => attention(q!, k!, v!, { batch: 2, length: 6, heads: 2, kvHeads: 1, headSize: 4 }, segments),
  },
  ...[{}, { topK: 6 }, { topP: 0.7 }].map(
    (limits): Case => ({
      name: `headLogProbability ${JSON.stringify(limits)}`,
      inputs: [[5, 6], [9, 6], []],
      integers: [{ shape: [5], values: [0, 8, 3, 3, 5] }],
      build: ([h, w], [targets]) => {
        const { logProbabilities, entropies } = headLogProbability(h!, w!, targets!, h!.graph.scalar(0.8), limits);
        return [logProbabilities, entropies];
      },
    }),
  ),
  severalChunks(),
];

/** Every element on the CPU; on a GPU, where a software adapter takes milliseconds for each run, a dozen at random. */
function elementsOf(count: number, kind: string, random: Random): number[] {
  const all = Array.from({ length: count }, (_, element) => element);
  return kind === 'cpu' ? all : random.sample(all, 12);
}

/** A loss that weighs every element of the results differently: Σ c·y + y². */
function lossOf(results: Tensor[], random: Random): Tensor {
  const terms = results.map((y) => {
    const coefficients = y.graph.constant(
      y.shape,
      Float32Array.from({ length: sizeOf(y.shape) }, () => random.normal()),
    );
    return add(sum(multiply(coefficients, y)), sum(multiply(y, y)));
  });
  return terms.reduce((a, b) => add(a, b));
}

for (const [kind, open] of Object.entries(devices)) {
  describe(`gradients on ${kind}`, async () => {
    const device: Device = await open();
    afterAll(() => device.dispose());

    for (const test of cases.filter(({ on = kind }) => on === kind)) {
      it(`of ${test.name} agree with central differences`, async () => {
        const random = new Random(11).split(test.name);
        const lossGraph = () => {
          const graph = new Graph();
          const inputs = test.inputs.map((shape, i) => graph.input(`x${i}`, shape));
          const integers = (test.integers ?? []).map(({ shape }, i) => graph.input(`n${i}`, shape, 'i32'));
          const built = test.build(inputs, integers);
          const loss = lossOf(Array.isArray(built) ? built : [built], random.split('loss'));
          graph.output('loss', loss);
          return { graph, inputs, loss };
        };
        const { graph, inputs, loss } = lossGraph();
        const results = await gradients(loss, inputs);
        results.forEach((gradient, i) => {
          if (gradient) graph.output(`g${i}`, gradient);
        });
        const [program, forward] = [await device.compile(graph), await device.compile(lossGraph().graph)];
        const data: Record<string, NumberArray> = {};
        test.inputs.forEach((shape, i) => {
          data[`x${i}`] = Float32Array.from({ length: sizeOf(shape) }, () => random.normal());
        });
        (test.integers ?? []).forEach(({ values }, i) => {
          data[`n${i}`] = Int32Array.from(values);
        });
        const analytic = await device.run(program, { inputs: data });
        const step = 1e-2;
        for (const [i, shape] of test.inputs.entries()) {
          if (!results[i]) continue;
          for (const element of test.elements?.[i] ?? elementsOf(sizeOf(shape), kind, random.split('elements', i))) {
            const moved = [step, -step, 2 * step, -2 * step].map((offset) => {
              const x = Float32Array.from(data[`x${i}`]!);
              x[element]! += offset;
              return { ...data, [`x${i}`]: x };
            });
            const losses = (await device.runSeries(forward, { inputs: moved })).map((found) => found.loss![0]!);
            const [up, down, twiceUp, twiceDown] = losses as [number, number, number, number];
            // fourth-order central difference: float32 noise stays near 1e-3 of the loss's scale
            const numeric = (8 * (up - down) - (twiceUp - twiceDown)) / (12 * step);
            expect(
              Math.abs(analytic[`g${i}`]![element]! - numeric),
              `input ${i}, element ${element}: ${analytic[`g${i}`]![element]} against ${numeric}`,
            ).toBeLessThan(5e-3 * (1 + Math.abs(numeric)));
          }
        }
        device.discard(program);
        device.discard(forward);
      });
    }
  });
}
