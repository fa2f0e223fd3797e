import { afterAll, describe, expect, it } from 'vitest';
import { Random } from '../../src/random';
import { add, Graph, gradients, headLogProbability, multiply, scale, sum, type Tensor } from '../../src/tensor/index';
import { devices } from '../device';

/** So many rows and so large a vocabulary that the logits are never there as a whole: on a GPU two chunks of rows, on the CPU more. */
const [rows, vocabulary, width, temperature] = [70, 132_000, 4, 0.8];
const dice = new Random(11);
const normals = (length: number) => Float32Array.from({ length }, () => dice.normal());
const hidden = normals(rows * width);
const weight = normals(vocabulary * width);
const targets = Int32Array.from({ length: rows }, () => dice.integer(vocabulary));
/** What the loss weighs each row's log-probability and entropy with. */
const [a, e] = [normals(rows), normals(rows)];

/** The same by its definition, in double precision: L = Σ a·log p[target] + e·H. */
function byDefinition() {
  const logProbs = new Float64Array(rows);
  const entropies = new Float64Array(rows);
  const toHidden = new Float64Array(rows * width);
  const toWeight = new Float64Array(vocabulary * width);
  const logits = new Float64Array(vocabulary);
  for (let m = 0; m < rows; m++) {
    let most = Number.NEGATIVE_INFINITY;
    for (let v = 0; v < vocabulary; v++) {
      let dot = 0;
      for (let k = 0; k < width; k++) dot += hidden[m * width + k]! * weight[v * width + k]!;
      logits[v] = dot / temperature;
      most = Math.max(most, logits[v]!);
    }
    const normalizer = most + Math.log(logits.reduce((total, logit) => total + Math.exp(logit - most), 0));
    logProbs[m] = logits[targets[m]!]! - normalizer;
    entropies[m] = logits.reduce((total, logit) => total - Math.exp(logit - normalizer) * (logit - normalizer), 0);
    for (let v = 0; v < vocabulary; v++) {
      const z = logits[v]! - normalizer;
      const p = Math.exp(z);
      // d log p[t] / d logit = [v = t] − p; dH / d logit = −p·(log p + H)
      const toLogit = (a[m]! * (Number(v === targets[m]) - p) - e[m]! * p * (z + entropies[m]!)) / temperature;
      for (let k = 0; k < width; k++) {
        toHidden[m * width + k]! += toLogit * weight[v * width + k]!;
        toWeight[v * width + k]! += toLogit * hidden[m * width + k]!;
      }
    }
  }
  return { logProbs, entropies, toHidden, toWeight };
}
const expected = byDefinition();

for (const [kind, open] of Object.entries(devices)) {
  describe(`the head in chunks on ${kind}`, async () => {
    const device = await open();
    afterAll(() => device.dispose());

    /** Runs the head of all rows with a loss made of L; → outputs, and L. */
    async function run(lossOf: (linear: Tensor) => Tensor) {
      const graph = new Graph();
      const [h, w] = [graph.input('hidden', [rows, width]), graph.input('weight', [vocabulary, width])];
      const head = headLogProbability(h, w, graph.input('targets', [rows], 'i32'), graph.input('temperature', []));
      const linear = sum(
        add(multiply(head.logProbabilities, graph.input('a', [rows])), multiply(head.entropies, graph.input('e', [rows]))),
      );
      const [toHidden, toWeight] = await gradients(lossOf(linear), [h, w]);
      graph.output('logProbs', head.logProbabilities);
      graph.output('entropies', head.entropies);
      graph.output('toHidden', toHidden!);
      graph.output('toWeight', toWeight!);
      graph.output('linear', linear);
      const inputs = { hidden, weight, targets, temperature: Float32Array.of(temperature), a, e };
      return device.run(await device.compile(graph), { inputs });
    }

    function expectAgreement(found: Record<string, ArrayLike<number>>, factor = 1) {
      for (const [name, values] of Object.entries(expected)) {
        const wanted = name.startsWith('to') ? values.map((value) => value * factor) : values;
        const largest = wanted.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
        const worst = wanted.reduce((most, value, i) => Math.max(most, Math.abs(value - found[name]![i]!)), 0);
        // float32 adds up 132,000 terms here
        expect(worst, name).toBeLessThan(3e-4 * largest);
      }
    }

    it('has the log-probabilities, entropies and gradients of the head as a whole', async () => {
      expectAgreement(await run((linear) => linear));
    });

    // a GPU knows one way for both, and a software adapter takes half a minute
    if (kind !== 'cpu') return;
    it('has them too where the gradient of a row depends on all rows', async () => {
      const found = await run((linear) => scale(multiply(linear, linear), 0.5));
      expectAgreement(found, found.linear![0]!);
    });
  });
}
