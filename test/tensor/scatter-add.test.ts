import { afterAll, describe, expect, it } from 'vitest';
import { Graph, scatterAdd } from '../../src/tensor/index';
import { devices } from '../device';

for (const [kind, open] of Object.entries(devices)) {
  describe(`scatterAdd on ${kind}`, async () => {
    const device = await open();
    afterAll(() => device.dispose());

    it('loses nothing where thousands of rows meet, run after run', async () => {
      const [rows, width, height] = [2560, 128, 1500];
      const graph = new Graph();
      graph.output('y', scatterAdd(graph.input('values', [rows, width]), graph.input('rows', [rows], 'i32'), height));
      const program = await device.compile(graph);
      const targets = Int32Array.from({ length: rows }, (_, i) => (i % 13 === 0 ? i % height : i % 20));
      // small integers: sums are exact in any order
      const values = Float32Array.from({ length: rows * width }, (_, i) => ((i * 31) % 17) - 8);
      const expected = new Float32Array(height * width);
      for (let i = 0; i < rows; i++) for (let j = 0; j < width; j++) expected[targets[i]! * width + j]! += values[i * width + j]!;
      for (let run = 0; run < 30; run++) {
        const { y } = await device.run(program, { inputs: { values, rows: targets } });
        expect(
          y!.every((value, i) => value === expected[i]),
          `run ${run + 1}`,
        ).toBe(true);
      }
    });
  });
}
