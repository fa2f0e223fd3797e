/**
 * How fast sampling and the PPO update are at tiny sizes: as a share of what the same onnxruntime reaches in a plain matrix product in the
 * same run, and beside PyTorch where it is installed. All take turns, round after round, and the best round of each counts, so that what
 * else the machine does disturbs none of them more than the others.
 *
 *     npx tsx bench/tiny.ts [--rounds 5] [--json]
 */
import { availableParallelism, cpus, loadavg } from 'node:os';
import { cpuDevice } from '../src/device/cpu/index';
import { LocalPolicy } from '../src/policy/index';
import { Tokenizer, trainTokenizer } from '../src/transformer/index';
import buildPackage from '../test/build';
import { readArguments } from './arguments';
import { type Measurement, openPeer, type Peer } from './peer';
import { type BenchSize, configOf, floatingPointOperations, sizes } from './sizes';
import { best, gemmOf, gemmRepeats, measure, measureSampling, measureUpdate, type SamplingMeasurement } from './works';

const { values: options } = readArguments({
  options: { rounds: { type: 'string', default: '5' }, json: { type: 'boolean', default: false } },
});
const rounds = Number(options.rounds);
const threads = availableParallelism();
const gemmSizes = [512, 1024];

const { tokenizer, tokenizerConfig } = trainTokenizer({ texts: ['hello world'], vocabularySize: 300 });

function policyOf(size: BenchSize): LocalPolicy {
  const model = { config: configOf(size), tokenizer: Tokenizer.fromJSON(tokenizer, tokenizerConfig) };
  return new LocalPolicy(cpuDevice({ threads }), model, { maxNewTokens: size.sampled });
}

interface Works extends SamplingMeasurement {
  readonly update: Measurement;
}

async function measurePolicy(policy: LocalPolicy, size: BenchSize): Promise<Works> {
  return { ...(await measureSampling(policy, size)), update: await measureUpdate(policy, size) };
}

async function measurePeer(peer: Peer, size: BenchSize): Promise<Omit<Works, 'decode'> & { readonly decode: Measurement }> {
  return {
    prefill: await peer.measure({ work: 'prefill', size }),
    decode: await peer.measure({ work: 'decode', size }),
    update: best([
      await peer.measure({ work: 'update', size, pieces: 1 }),
      await peer.measure({ work: 'update', size, pieces: Math.ceil((size.rows * size.length) / 2048) }),
    ]),
  };
}

const say = (text: string) => process.stderr.write(`${text}\n`);

await buildPackage();
const opened = await openPeer(threads);
const peer = typeof opened === 'string' ? undefined : opened;
say(`${cpus()[0]?.model}, ${threads} threads, load ${loadavg()[0]!.toFixed(2)}; ${peer?.version ?? `no PyTorch: ${opened}`}`);

const device = cpuDevice({ threads });
const gemms = await Promise.all(gemmSizes.map((n) => gemmOf(device, n)));
const policies = sizes.map(policyOf);
const gemmRounds: { ours: Measurement; peer?: Measurement }[][] = gemmSizes.map(() => []);
const workRounds: { ours: Works; peer?: Awaited<ReturnType<typeof measurePeer>> }[][] = sizes.map(() => []);
// the first round compiles and warms up
for (let round = 0; round <= rounds; round++) {
  for (const [i, n] of gemmSizes.entries()) {
    for (let again = 0; again < 4; again++) {
      const ours = await measure(gemms[i]!);
      const theirs = await peer?.measure({ work: 'gemm', n, repeats: gemmRepeats });
      if (round > 0) gemmRounds[i]!.push({ ours, peer: theirs });
    }
  }
  for (const [i, size] of sizes.entries()) {
    const ours = await measurePolicy(policies[i]!, size);
    const theirs = peer && (await measurePeer(peer, size));
    if (round > 0) workRounds[i]!.push({ ours, peer: theirs });
  }
  say(round === 0 ? 'warm' : `round ${round} of ${rounds}`);
}
await Promise.all([device, ...policies].map((each) => each.dispose()));
peer?.close();

interface Row {
  readonly work: string;
  readonly seconds: number;
  /** Busy cores. */
  readonly cores: number;
  readonly tokensPerSecond?: number;
  readonly gigaflops: number;
  readonly shareOfGemm: number;
  readonly peerSeconds?: number;
  readonly timesPeer?: number;
}

const rows: Row[] = [];
let gemmRate = 0;
function add(work: string, operations: number, found: readonly { ours: Measurement; peer?: Measurement }[], tokens?: number): void {
  const ours = best(found.map((each) => each.ours));
  const theirs = peer && best(found.map((each) => each.peer!));
  const gigaflops = operations / ours.seconds / 1e9;
  if (tokens === undefined) gemmRate = Math.max(gemmRate, gigaflops);
  rows.push({
    work,
    seconds: ours.seconds,
    cores: ours.cpu / ours.seconds,
    ...(tokens !== undefined && { tokensPerSecond: tokens / ours.seconds }),
    gigaflops,
    shareOfGemm: gigaflops / gemmRate,
    ...(theirs && { peerSeconds: theirs.seconds, timesPeer: theirs.seconds / ours.seconds }),
  });
}
for (const [i, n] of gemmSizes.entries()) add(`matrix product ${n}×${n}×${n}`, 2 * gemmRepeats * n ** 3, gemmRounds[i]!);
for (const [i, size] of sizes.entries()) {
  const { prefill, sampling, update } = floatingPointOperations(size);
  const pick = (work: keyof Works) => workRounds[i]!.map(({ ours, peer }) => ({ ours: ours[work], peer: peer?.[work] }));
  add(`${size.name}: reading prompts, ${size.rows}×${size.prompt}`, prefill, pick('prefill'), size.rows * size.prompt);
  // a random policy may sample the end of a turn: rows that are done are computed all the same, but give no tokens
  const { tokens } = best(workRounds[i]!.map(({ ours }) => ours.decode)) as Works['decode'];
  add(`${size.name}: sampling, ${size.rows} at once`, sampling, pick('decode'), tokens);
  add(`${size.name}: PPO update, ${size.rows}×${size.length}`, update, pick('update'), size.rows * size.length);
}

if (options.json) {
  console.log(JSON.stringify({ machine: cpus()[0]?.model, threads, load: loadavg()[0], peer: peer?.version, rounds, rows }));
} else {
  const number = (value: number | undefined, digits = 0) =>
    value === undefined ? '' : value.toLocaleString('en', { minimumFractionDigits: digits, maximumFractionDigits: digits });
  const table = [
    ['work', 'seconds', 'busy cores', 'tokens/s', 'GFLOP/s', 'of GEMM', 'PyTorch s', 'times PyTorch'],
    ['---', '---:', '---:', '---:', '---:', '---:', '---:', '---:'],
    ...rows.map((row) => [
      row.work,
      number(row.seconds, 3),
      number(row.cores, 1),
      number(row.tokensPerSecond),
      number(row.gigaflops),
      `${number(100 * row.shareOfGemm)} %`,
      number(row.peerSeconds, 3),
      number(row.timesPeer, 1),
    ]),
  ];
  for (const cells of table) console.log(`| ${cells.join(' | ')} |`);
}
