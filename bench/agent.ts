/**
 * What the agent costs besides its model: the time of a turn with a model that answers at once, with a profile of 50 and of 10,000 items,
 * over the memory store and over one that keeps JSON as files and databases do; the time to import it; and its size.
 *
 *     npm run build && npx tsx bench/agent.ts [--turns 200] [--json]
 */
import { execFileSync } from 'node:child_process';
import { cpus, loadavg } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';
import { z } from 'zod';
import { memoryStore, PersonalizedAgent, type ProfileStore, type UserRecord } from '../src/agent/index';
import type { ChatRequest } from '../src/chat/index';
import { formatTurn, ProfileSchema, slot } from '../src/profile/index';
import { scriptedChatModel } from '../src/testing/index';
import { readArguments } from './arguments';

const { values: options } = readArguments({
  options: { turns: { type: 'string', default: '200' }, json: { type: 'boolean', default: false } },
});
const turns = Number(options.turns);
const warmUp = 20;
const root = fileURLToPath(new URL('..', import.meta.url));

const schema = ProfileSchema.define({
  occupation: slot.one(z.string()),
  interests: slot.many(z.string()),
  facts: slot.many(z.string()),
  health: slot.many(z.string(), { sensitive: true }),
});

/** Keeps records as text, as every store does that outlives the program: reading and writing parse and print. */
function jsonStore(): ProfileStore {
  const records = new Map<string, { readonly version: number; readonly text: string }>();
  return {
    async load(userId) {
      const stored = records.get(userId);
      return stored && (JSON.parse(stored.text) as UserRecord);
    },
    async save(record, basedOn) {
      if ((records.get(record.userId)?.version ?? 0) !== basedOn) return false;
      records.set(record.userId, { version: record.version, text: JSON.stringify(record) });
      return true;
    },
    erase: async (userId) => records.delete(userId),
  };
}

/** Adds up the milliseconds that calls take. */
function stopwatch() {
  let ms = 0;
  return {
    timed:
      <Args extends unknown[], T>(call: (...args: Args) => Promise<T>) =>
      async (...args: Args): Promise<T> => {
        const started = performance.now();
        try {
          return await call(...args);
        } finally {
          ms += performance.now() - started;
        }
      },
    take: () => {
      const taken = ms;
      ms = 0;
      return taken;
    },
  };
}

const factOf = (turn: number) => `walked route${turn} today`;

interface Overhead {
  readonly items: number;
  readonly store: string;
  readonly form: string;
  /** Milliseconds a turn without the model's and the store's own. */
  readonly median: number;
  readonly p95: number;
  /** The store's own. */
  readonly storeMs: number;
  /** Median over that of a plain pass over as many items, measured between the turns. */
  readonly ratio: number;
}

/** Milliseconds to make as many objects, put them into a map and find each: what the machine can do just now. */
function plainPass(items: number): number {
  const started = performance.now();
  const objects = Array.from({ length: items }, (_, i) => ({ key: `facts:collects vintage postcards from town ${i}`, value: i }));
  const byKey = new Map(objects.map((object) => [object.key, object]));
  for (const { key, value } of objects) if (byKey.get(key)!.value !== value) throw new Error('The map is wrong.');
  return performance.now() - started;
}

const quantile = (sorted: readonly number[], share: number) => sorted[Math.floor(share * (sorted.length - 1))]!;

/** Turns that each tell one new fact, of a user of whom so many items are known. */
async function overhead(items: number, storeName: 'memory' | 'json', form: 'json' | 'text'): Promise<Overhead> {
  let turn = 0;
  const script = ({ messages }: ChatRequest) => {
    const fact = factOf(++turn);
    if (form === 'json')
      return JSON.stringify({ changes: [{ op: 'add', slot: 'facts', value: fact, evidence: null }], reply: 'Where do you go?' });
    // As models do: all that they were shown, and what is new.
    const shown = JSON.parse(messages[0]!.content.split(/<\/?known_about_user>/)[1]!);
    return formatTurn(schema.profile({ ...shown, facts: [...(shown.facts ?? []), fact] }), 'Where do you go?');
  };
  const scripted = scriptedChatModel(script, { structuredOutput: form === 'json' });
  const bare = storeName === 'memory' ? memoryStore() : jsonStore();
  const [inModel, inStore] = [stopwatch(), stopwatch()];
  const agent = new PersonalizedAgent({
    schema,
    model: { ...scripted, generate: inModel.timed(scripted.generate) },
    store: { load: inStore.timed(bare.load), save: inStore.timed(bare.save), erase: bare.erase },
  });
  const known = Array.from({ length: items - 1 }, (_, i) => `collects vintage postcards from town ${i}`);
  await agent.edit('u', [
    { op: 'set', slot: 'occupation', value: 'nurse' },
    { op: 'set', slot: 'facts', value: known },
  ]);
  const times: number[] = [];
  const stores: number[] = [];
  const passes: number[] = [];
  for (let i = 0; i < turns + warmUp; i++) {
    const started = performance.now();
    await agent.respond({ userId: 'u', message: `You know what, I have ${factOf(i + 1)}, and it was a good one.` });
    const storeMs = inStore.take();
    const time = performance.now() - started - inModel.take() - storeMs;
    const pass = plainPass(items);
    if (i < warmUp) continue;
    times.push(time);
    stores.push(storeMs);
    passes.push(pass);
  }
  for (const list of [times, stores, passes]) list.sort((a, b) => a - b);
  const median = quantile(times, 0.5);
  return {
    items,
    store: storeName,
    form,
    median,
    p95: quantile(times, 0.95),
    storeMs: quantile(stores, 0.5),
    ratio: median / quantile(passes, 0.5),
  };
}

interface ImportTime {
  readonly what: string;
  /** The best shows what it costs; the rest is the machine's. */
  readonly best: number;
  readonly median: number;
}

/** Milliseconds that imports take, each in 20 processes of its own, in turn; `rlpa/agent` also where zod, which the app imports too, is there already. */
function importTimes(): ImportTime[] {
  const programs = {
    'rlpa/agent': ['', 'rlpa/agent'],
    'rlpa/agent after zod': ["await import('zod');", 'rlpa/agent'],
    zod: ['', 'zod'],
    rlpa: ['', 'rlpa'],
  } as const;
  const times = new Map(Object.keys(programs).map((what) => [what, [] as number[]]));
  for (let round = 0; round < 20; round++)
    for (const [what, [before, name]] of Object.entries(programs)) {
      const program = `${before} const start = performance.now(); await import('${name}'); console.log(performance.now() - start);`;
      times
        .get(what)!
        .push(Number(execFileSync(process.execPath, ['--input-type=module', '--eval', program], { cwd: root, encoding: 'utf8' })));
    }
  return [...times].map(([what, list]) => {
    const sorted = list.sort((a, b) => a - b);
    return { what, best: sorted[0]!, median: quantile(sorted, 0.5) };
  });
}

/** Bytes of an entry, minified and gzipped, without what it depends on. */
async function size(code: string): Promise<{ readonly minified: number; readonly gzipped: number }> {
  const { outputFiles } = await build({
    stdin: { contents: code, resolveDir: root },
    bundle: true,
    minify: true,
    format: 'esm',
    platform: 'browser',
    write: false,
    tsconfigRaw: '{}',
    packages: 'external',
    alias: { 'rlpa/agent': join(root, 'dist/agent.js'), rlpa: join(root, 'dist/index.js') },
    logLevel: 'error',
  });
  const [file] = outputFiles;
  return { minified: file!.contents.length, gzipped: gzipSync(file!.contents).length };
}

const overheads: Overhead[] = [];
for (const items of [50, 10_000])
  for (const store of ['memory', 'json'] as const)
    for (const form of ['json', 'text'] as const) overheads.push(await overhead(items, store, form));
const report = {
  machine: { cpu: cpus()[0]?.model, cores: cpus().length, load: loadavg()[0], node: process.version },
  overheads,
  importMs: importTimes(),
  size: {
    'rlpa/agent': await size("export * from 'rlpa/agent';"),
    rlpa: await size("export * from 'rlpa';"),
  },
};
if (options.json) console.log(JSON.stringify(report));
else {
  console.log(`${report.machine.cpu}, ${report.machine.cores} cores, load ${report.machine.load!.toFixed(1)}, Node ${report.machine.node}`);
  for (const { items, store, form, median, p95, storeMs, ratio } of overheads)
    console.log(
      `${String(items).padStart(6)} items, ${store.padEnd(6)} store, ${form} form: median ${median.toFixed(2)} ms, p95 ${p95.toFixed(2)} ms, ` +
        `${ratio.toFixed(1)} × a plain pass over the items; the store ${storeMs.toFixed(2)} ms`,
    );
  for (const { what, best, median } of report.importMs)
    console.log(`import of ${what}: best ${best.toFixed(0)} ms, median ${median.toFixed(0)} ms of 20`);
  for (const [name, { minified, gzipped }] of Object.entries(report.size))
    console.log(`size of ${name}: ${(minified / 1024).toFixed(1)} KB minified, ${(gzipped / 1024).toFixed(1)} KB gzipped`);
}
