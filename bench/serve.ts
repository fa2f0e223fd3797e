/**
 * How much of what a policy samples in-process, 32 prompts at a time, is left when 32 clients ask for the same texts at once over HTTP:
 * the official `openai` client in a process of its own, whole and streamed, through `serveAgent` with a user and a stored turn each.
 * All take turns, round after round: the share is of what was sampled in-process in the same round, and the median of the rounds counts, for the
 * machine's own speed may change from one to the next. The clients of a round begin and end together, which leaves rows empty: with few
 * requests each, that is a large part of it.
 *
 *     npx tsx bench/serve.ts [--rounds 5] [--requests 24] [--prompt 384] [--tokens 64] [--threads 2] [--size demo|tiny]
 *         [--policy DIR] [--json]
 *
 * Without a policy it is one of that size with random weights. bench/make-model.ts writes a folder of a larger size.
 */
import { fork } from 'node:child_process';
import { availableParallelism, cpus, loadavg } from 'node:os';
import { fileURLToPath } from 'node:url';
import { transcriptPrompt } from '../src/agent/index';
import type { ChatModel } from '../src/chat/index';
import { cpuDevice } from '../src/device/cpu/index';
import { LocalPolicy } from '../src/policy/index';
import { ProfileSchema } from '../src/profile/index';
import { Random } from '../src/random';
import { serveAgent } from '../src/server/index';
import { Tokenizer, trainTokenizer } from '../src/transformer/index';
import buildPackage from '../test/build';
import { readArguments } from './arguments';
import type { ClientsJob, ClientsReport } from './serve-clients';
import { configOf, sizes } from './sizes';

const text = (value: string) => ({ type: 'string', default: value }) as const;
const { values: options } = readArguments({
  options: {
    rounds: text('5'),
    requests: text('24'),
    prompt: text('384'),
    tokens: text('64'),
    threads: text(String(availableParallelism())),
    size: text('demo'),
    policy: { type: 'string' },
    json: { type: 'boolean', default: false },
  },
});
const clients = 32;
const rounds = Number(options.rounds);
const perClient = Number(options.requests);
const [promptTokens, tokens, threads] = [Number(options.prompt), Number(options.tokens), Number(options.threads)];

await buildPackage();
const syllables = ['ka', 'lo', 'mi', 'ne', 'ru', 'sa', 'ti', 'vo', 'ze', 'pa'];
const words = syllables.flatMap((a) => syllables.flatMap((b) => syllables.map((c) => a + b + c)));

function randomPolicy(): LocalPolicy {
  const size = sizes.find(({ name }) => name === options.size);
  if (!size) throw new Error(`--size: ${options.size} is none of ${sizes.map(({ name }) => name).join(', ')}.`);
  const { tokenizer: trained, tokenizerConfig } = trainTokenizer({
    texts: [words.join(' '), 'Note and reply.'],
    vocabularySize: size.vocabularySize,
  });
  const tokenizer = Tokenizer.fromJSON(trained, tokenizerConfig);
  const config = { ...configOf(size), vocabularySize: tokenizer.size, maxPositions: 8192 };
  return new LocalPolicy(cpuDevice({ threads }), { config, tokenizer }, { seed: 1, maxNewTokens: tokens });
}
const policy = options.policy
  ? await LocalPolicy.load(options.policy, { device: cpuDevice({ threads }), maxNewTokens: tokens })
  : randomPolicy();
const instruction = 'Note and reply.';

const encodedLength = (content: string) => policy.encodePrompt([{ role: 'user', content }]).length;

/** What a user writes, so long that the prompt has about the wanted number of tokens. */
function message(index: number): string {
  const random = new Random(index);
  const some = Array.from({ length: promptTokens }, () => random.pick(words));
  const perWord = (encodedLength(some.join(' ')) - encodedLength('')) / some.length;
  return some.slice(0, Math.round((promptTokens - encodedLength('') - encodedLength(instruction) / 2) / perWord)).join(' ');
}
const requests = Array.from({ length: clients * perClient }, (_, index) => ({ message: message(index), seed: index }));
const states = requests.map(({ message, seed }, index) => ({
  dialogueId: `dialogue ${index}`,
  messages: [
    { role: 'system', content: instruction },
    { role: 'user', content: message },
  ] as const,
  seed,
}));

interface Round {
  readonly seconds: number;
  readonly tokens: number;
  /** Processor time of this process: the engine's, and while serving the server's. */
  readonly cpu: number;
  /** Processor time of the clients. */
  readonly clientCpu: number;
}

const cpuSeconds = ({ user, system }: NodeJS.CpuUsage) => (user + system) / 1e6;

async function inProcess(): Promise<Round> {
  const startedAt = performance.now();
  const cpu = process.cpuUsage();
  let sampled = 0;
  for (let first = 0; first < states.length; first += clients) {
    const batch = states.slice(first, first + clients);
    for (const { usage } of await policy.act(batch)) sampled += usage.outputTokens;
    policy.release(batch.map(({ dialogueId }) => dialogueId));
  }
  return { seconds: (performance.now() - startedAt) / 1000, tokens: sampled, cpu: cpuSeconds(process.cpuUsage(cpu)), clientCpu: 0 };
}

/** Random weights write no turns: what they write becomes the reply of one, so that it is streamed token by token. */
const frame = ['<profile>\n</profile>\n\n<response>\n', '\n</response>'] as const;
const inner = policy.asChatModel();
const model: ChatModel = {
  ...inner,
  async generate(request) {
    const result = await inner.generate(request);
    return { ...result, text: frame.join(result.text) };
  },
  async *stream(request) {
    yield { type: 'text', text: frame[0] };
    for await (const part of inner.stream(request)) {
      if (part.type === 'finish') yield { type: 'text', text: frame[1] };
      yield part.type === 'text' ? part : { ...part, text: frame.join(part.text) };
    }
  },
};
async function runningBatch(): Promise<Round> {
  const startedAt = performance.now();
  const cpu = process.cpuUsage();
  let sampled = 0;
  for (let first = 0; first < states.length; first += clients) {
    const batch = states.slice(first, first + clients).map(({ messages, seed }) => ({ prompt: policy.encodePrompt(messages), seed }));
    for (const { completion } of await Promise.all(batch.map((each) => policy.sampleAlongside(each)))) sampled += completion.length;
  }
  return { seconds: (performance.now() - startedAt) / 1000, tokens: sampled, cpu: cpuSeconds(process.cpuUsage(cpu)), clientCpu: 0 };
}

const server = await serveAgent({
  schema: ProfileSchema.standard,
  model,
  prompt: transcriptPrompt({ instruction }),
  modelName: 'bench',
});
const peer = fork(fileURLToPath(new URL('./serve-clients.ts', import.meta.url)), { execArgv: ['--import', 'tsx'] });

let steps = 0;
async function served(stream: boolean, round: number): Promise<Round> {
  const before = policy.sampling;
  const cpu = process.cpuUsage();
  const report = await new Promise<ClientsReport>((resolve) => {
    peer.once('message', (message) => resolve(message as ClientsReport));
    // users of their own for each round: all of them are met for the first time
    const job: ClientsJob = { url: server.url, clients, requests, stream, users: `${round} ${stream}` };
    peer.send(job);
  });
  const { tokens: sampled, steps: run, reused } = policy.sampling;
  if (reused > 0)
    throw new Error(`${reused} tokens of prompts were not read anew, which makes the shares larger: ask for more --requests.`);
  if (report.tokens !== sampled - before.tokens)
    throw new Error(`Usage says ${report.tokens} tokens, the policy ${sampled - before.tokens}.`);
  steps = run - before.steps;
  return { ...report, cpu: cpuSeconds(process.cpuUsage(cpu)) };
}

const kinds = {
  'in-process, batches of 32': inProcess,
  'in-process, running batch, 32 at a time': runningBatch,
  'served, 32 clients': (round: number) => served(false, round),
  'served, 32 clients, streaming': (round: number) => served(true, round),
};
const found = Object.fromEntries(Object.keys(kinds).map((kind) => [kind, [] as Round[]]));
const averageBatch: number[] = [];
process.stderr.write(`${cpus()[0]?.model}, ${availableParallelism()} cores, ${threads} threads, load ${loadavg()[0]!.toFixed(2)}\n`);
// the first round compiles and warms up
for (let round = 0; round <= rounds; round++) {
  for (const [kind, measure] of Object.entries(kinds)) {
    const result = await measure(round);
    if (round === 0) continue;
    found[kind]!.push(result);
    if (kind.startsWith('served')) averageBatch.push(result.tokens / steps);
  }
  process.stderr.write(round === 0 ? 'warm\n' : `round ${round} of ${rounds}\n`);
}
peer.disconnect();
await server.close();
await policy.dispose();

const median = (values: readonly number[]) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;
const rates = (kind: string) => found[kind]!.map(({ tokens, seconds }) => tokens / seconds);
const reference = rates(Object.keys(kinds)[0]!);
const rows = Object.keys(kinds).map((kind) => {
  const shares = rates(kind).map((rate, round) => rate / reference[round]!);
  return {
    kind,
    tokens: found[kind]![0]!.tokens,
    best: Math.max(...rates(kind)),
    median: median(rates(kind)),
    share: median(shares),
    shares: [Math.min(...shares), Math.max(...shares)] as const,
    cpu: median(found[kind]!.map(({ cpu }) => cpu)),
    clientCpu: median(found[kind]!.map(({ clientCpu }) => clientCpu)),
  };
});
const tokensPerStep = averageBatch.reduce((sum, each) => sum + each, 0) / averageBatch.length;
if (options.json)
  console.log(JSON.stringify({ machine: cpus()[0]?.model, policy: options.policy, threads, promptTokens, rounds, tokensPerStep, rows }));
else {
  const number = (value: number) => Math.round(value).toLocaleString('en');
  const columns = ['', 'tokens/s, best', 'median', 'share', 'of all rounds', 'CPU s a round', "clients' CPU s"];
  const table = [columns, columns.map((_, i) => (i === 0 ? '---' : '---:'))];
  for (const { kind, best, median, share, shares, cpu, clientCpu } of rows) {
    const [least, most] = shares.map((each) => number(100 * each));
    const cells = [
      kind,
      number(best),
      number(median),
      `${number(100 * share)} %`,
      `${least} to ${most} %`,
      cpu.toFixed(2),
      clientCpu.toFixed(2),
    ];
    table.push(cells);
  }
  for (const cells of table) console.log(`| ${cells.join(' | ')} |`);
  console.log(`${number(rows[0]!.tokens)} tokens a round.`);
  console.log(`${tokensPerStep.toFixed(1)} tokens for each run of the model while served.`);
}
