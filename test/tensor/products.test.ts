import { afterAll, describe, expect, it } from 'vitest';
import { Random } from '../../src/random';
import { add, Graph, matmul, type Tensor } from '../../src/tensor/index';
import { devices } from '../device';

const dice = new Random(3);
const normals = (length: number) => Float32Array.from({ length }, () => dice.normal());

interface Transposes {
  readonly transposeA?: boolean;
  readonly transposeB?: boolean;
}

/** a·b in double precision, a [rows, inner] and b [inner, columns] before they are transposed. */
function product(a: Float32Array, b: Float32Array, rows: number, inner: number, columns: number, { transposeA, transposeB }: Transposes) {
  const result = new Float64Array(rows * columns);
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) {
      for (let k = 0; k < inner; k++) {
        result[i * columns + j]! += a[transposeA ? k * rows + i : i * inner + k]! * b[transposeB ? j * inner + k : k * columns + j]!;
      }
    }
  }
  return result;
}

function expectClose(found: ArrayLike<number>, expected: Float64Array) {
  expect(found.length).toBe(expected.length);
  expect(expected.reduce((worst, value, i) => Math.max(worst, Math.abs(value - found[i]!)), 0)).toBeLessThan(1e-4);
}

/** Row counts on both sides of what the CPU chooses another way of multiplying by; a GPU's software adapter takes seconds for each. */
const rowCounts: Record<string, readonly number[]> = { cpu: [1, 2, 7, 16, 127, 128, 131], webgpu: [7] };
const transposes: readonly Transposes[] = [{}, { transposeA: true }, { transposeB: true }, { transposeA: true, transposeB: true }];
const [inner, columns] = [24, 136];

for (const [kind, open] of Object.entries(devices)) {
  describe(`matrix products on ${kind}`, async () => {
    const device = await open();
    afterAll(() => device.dispose());

    it.each(rowCounts[kind]!)('of %i rows are what they are by definition, alone and added to something', async (rows) => {
      for (const transpose of transposes) {
        const [a, b] = [normals(rows * inner), normals(inner * columns)];
        const [whole, bias] = [normals(rows * columns), normals(columns)];
        const graph = new Graph();
        const x = graph.input('a', transpose.transposeA ? [inner, rows] : [rows, inner]);
        const y = graph.input('b', transpose.transposeB ? [columns, inner] : [inner, columns]);
        // products of their own: what one sum takes in, nothing else can read
        const fresh = () => matmul(x, y, transpose);
        const [c, d] = [graph.input('whole', [rows, columns]), graph.input('bias', [columns])];
        const shared = fresh();
        const sums: Record<string, Tensor> = {
          alone: fresh(),
          second: add(c, fresh()),
          first: add(fresh(), c),
          withBias: add(fresh(), d),
          twice: add(fresh(), fresh()),
          both: add(shared, c),
          shared,
          chain: add(add(fresh(), d), fresh()),
        };
        for (const [name, tensor] of Object.entries(sums)) graph.output(name, tensor);
        const found = await device.run(await device.compile(graph), { inputs: { a, b, whole, bias } });
        const p = product(a, b, rows, inner, columns, transpose);
        const plus = (times: number, addend: (i: number) => number) => p.map((value, i) => times * value + addend(i));
        expectClose(found.alone!, p);
        expectClose(found.shared!, p);
        for (const name of ['second', 'first', 'both'])
          expectClose(
            found[name]!,
            plus(1, (i) => whole[i]!),
          );
        expectClose(
          found.withBias!,
          plus(1, (i) => bias[i % columns]!),
        );
        expectClose(
          found.twice!,
          plus(2, () => 0),
        );
        expectClose(
          found.chain!,
          plus(2, (i) => bias[i % columns]!),
        );
      }
    });
  });
}
