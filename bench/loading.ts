/**
 * How much memory loading a policy takes, in times the size of its weights in float32.
 *
 *     npx tsx bench/loading.ts FOLDER
 */
import { readFileSync } from 'node:fs';
import { LocalPolicy } from '../src/policy/index';
import buildPackage from '../test/build';
import { readArguments } from './arguments';

const [folder] = readArguments({ allowPositionals: true }).positionals;
if (folder === undefined) throw new Error('Expected the folder of a model.');

await buildPackage();
/** Of the whole process since it began, in bytes. */
const peak = () => Number(/VmHWM:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))![1]) * 1024;
const before = peak();
const started = performance.now();
const policy = await LocalPolicy.load(folder);
// the weights have arrived on the device when it answers
await policy.readWeights(['model.norm.weight']);
const seconds = (performance.now() - started) / 1000;
const bytes = 4 * policy.parameterCount;
const gigabytes = (value: number) => `${(value / 1e9).toFixed(2)} GB`;
console.log(
  `${seconds.toFixed(1)} s; weights ${gigabytes(bytes)} in float32; peak ${gigabytes(peak())}, ${(peak() / bytes).toFixed(2)} times; ${gigabytes(before)} of it before loading`,
);
await policy.dispose();
