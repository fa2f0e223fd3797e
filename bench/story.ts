/**
 * Milliseconds a token of one text at batch 1, where the model is so small that nothing but overhead counts; beside llama2.c
 * (https://github.com/karpathy/llama2.c) where its command is given, which prints its tokens a second.
 *
 *     npx tsx bench/story.ts MODEL_FOLDER [--tokens 256] [--rounds 8] [--peer './run stories260K.bin -z tok512.bin -t 1 -n 512']
 */
import { spawnSync } from 'node:child_process';
import { loadavg } from 'node:os';
import { cpuDevice } from '../src/device/cpu/index';
import { LocalPolicy } from '../src/policy/index';
import buildPackage from '../test/build';
import { readArguments } from './arguments';

const { values: options, positionals } = readArguments({
  allowPositionals: true,
  options: {
    tokens: { type: 'string', default: '256' },
    rounds: { type: 'string', default: '8' },
    peer: { type: 'string' },
  },
});
const [folder] = positionals;
if (folder === undefined) throw new Error('Expected the folder of a model.');

/** Milliseconds a token of the peer, by its own clock. */
function peerTime(command: string): number {
  const { stderr, stdout } = spawnSync(command, { shell: true, encoding: 'utf8' });
  const rate = /achieved tok\/s: ([\d.]+)/.exec(stderr + stdout);
  if (!rate) throw new Error(`Expected 'achieved tok/s' from ${command}, found: ${stderr.slice(-200)}`);
  return 1000 / Number(rate[1]);
}

await buildPackage();
const policy = await LocalPolicy.load(folder, { device: cpuDevice({ threads: 1 }) });
let [ours, theirs] = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY];
// the first round compiles
for (let round = 0; round <= Number(options.rounds); round++) {
  let [first, count] = [0, 0];
  await policy.sample([{ owner: 'story', prompt: Int32Array.of(1), seed: 1 }], {
    temperature: 0,
    maxNewTokens: Number(options.tokens),
    onToken: () => {
      if (count++ === 0) first = performance.now();
    },
  });
  policy.release(['story']);
  if (round > 0) ours = Math.min(ours, (performance.now() - first) / (count - 1));
  if (options.peer) theirs = Math.min(theirs, peerTime(options.peer));
}
await policy.dispose();
console.log(`rlpa ${ours.toFixed(3)} ms a token, load ${loadavg()[0]!.toFixed(1)}`);
if (options.peer) console.log(`llama2.c ${theirs.toFixed(3)} ms a token: ${(ours / theirs).toFixed(1)} times as long`);
