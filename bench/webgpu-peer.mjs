/** One library's share of bench/webgpu.ts, in a process of its own: node bench/webgpu-peer.mjs tfjs|jax ROUNDS SIZES → its milliseconds as JSON. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { build } from 'esbuild';
import { create, globals } from 'webgpu';

const [which, rounds, sizes] = process.argv.slice(2);
Object.assign(globalThis, globals);
const gpu = create(['enable-dawn-features=allow_unsafe_apis,disable_workgroup_init']);
Object.defineProperty(globalThis, 'navigator', { value: { gpu, userAgent: 'node' }, configurable: true });
globalThis.window ??= globalThis;
globalThis.self ??= globalThis;

const [rows, width, inner] = [512, 128, 256];
const numbers = (count, size) => Float32Array.from({ length: count }, (_, i) => size * Math.sin(i * 12.9898 + 1));
const report = {};

async function best(task) {
  await task();
  let milliseconds = Number.POSITIVE_INFINITY;
  for (let i = 0; i < Number(rounds); i++) {
    const began = performance.now();
    await task();
    milliseconds = Math.min(milliseconds, performance.now() - began);
  }
  return milliseconds;
}

async function tfjs() {
  // its gradients are modules that Node can't resolve by themselves
  const folder = mkdtempSync(join(tmpdir(), 'rlpa-tfjs-'));
  const outfile = join(folder, 'tfjs.mjs');
  const modules = ['tfjs-core/dist/register_all_gradients', 'tfjs-backend-webgpu'].map((name) => `import '@tensorflow/${name}';`);
  const contents = `export * from '@tensorflow/tfjs-core';\n${modules.join('\n')}`;
  await build({
    stdin: { contents, resolveDir: import.meta.dirname },
    bundle: true,
    format: 'esm',
    platform: 'node',
    mainFields: ['module', 'main'],
    banner: { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);" },
    outfile,
    logLevel: 'error',
  });
  const tf = await import(pathToFileURL(outfile).href);
  rmSync(folder, { recursive: true });
  await tf.setBackend('webgpu');
  await tf.ready();
  for (const size of sizes.split(',').map(Number)) {
    const [a, b] = [0, 1].map(() => tf.tensor2d(numbers(size * size, 1), [size, size]));
    report[`matmul ${size}`] = await best(async () => {
      const y = tf.matMul(a, b, false, true);
      const corner = tf.slice(y, [0, 0], [1, 1]);
      await corner.data();
      tf.dispose([y, corner]);
    });
  }
  const x = tf.tensor2d(numbers(rows * width, 1), [rows, width]);
  const weights = [
    [width, inner],
    [width, inner],
    [inner, width],
  ].map((shape) => tf.variable(tf.tensor2d(numbers(width * inner, 0.05), shape)));
  const loss = (gate, up, down) => {
    const hidden = tf.matMul(x, gate);
    const y = tf.matMul(tf.mul(tf.mul(hidden, tf.sigmoid(hidden)), tf.matMul(x, up)), down);
    return tf.mean(tf.square(tf.sub(y, x)));
  };
  const withGradients = tf.valueAndGrads(loss);
  report.step = await best(async () => {
    const value = tf.tidy(() => {
      const found = withGradients(weights);
      for (const [i, weight] of weights.entries()) weight.assign(tf.sub(weight, tf.mul(found.grads[i], 0.1)));
      return found.value;
    });
    report.loss = (await value.data())[0];
    value.dispose();
  });
}

async function jax() {
  const { init, defaultDevice, numpy: np, valueAndGrad, jit, nn } = await import('@jax-js/jax');
  await init('webgpu');
  defaultDevice('webgpu');
  const matrix = (shape, size) => np.array(numbers(shape[0] * shape[1], size)).reshape(shape);
  for (const size of sizes.split(',').map(Number)) {
    const [a, b] = [0, 1].map(() => matrix([size, size], 1));
    report[`matmul ${size}`] = await best(async () => {
      const y = np.matmul(a.ref, np.transpose(b.ref));
      await y.blockUntilReady();
      y.dispose();
    });
  }
  const x = matrix([rows, width], 1);
  let weights = [
    [width, inner],
    [width, inner],
    [inner, width],
  ].map((shape) => matrix(shape, 0.05));
  const loss = ([gate, up, down], x) => {
    const y = np.matmul(nn.silu(np.matmul(x.ref, gate)).mul(np.matmul(x.ref, up)), down);
    return np.mean(np.square(y.sub(x)));
  };
  const step = jit((weights, x) => {
    const [value, found] = valueAndGrad(loss)(
      weights.map((weight) => weight.ref),
      x,
    );
    return [value, weights.map((weight, i) => weight.sub(found[i].mul(0.1)))];
  });
  report.step = await best(async () => {
    const [value, next] = step(weights, x.ref);
    weights = next;
    report.loss = (await value.data())[0];
  });
}

await { tfjs, jax }[which]();
console.log(JSON.stringify(report));
process.exit();
