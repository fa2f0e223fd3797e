/**
 * Where the time of a PPO iteration goes at Qwen2.5-0.5B's size: dialogues of an adapter with scripted users, from the first prompt to the
 * optimiser step and a checkpoint, with the peak of memory.
 *
 *     npx tsx bench/make-model.ts /tmp/half-billion TOKENIZER_FOLDER
 *     npx tsx bench/iteration.ts /tmp/half-billion [--dialogues 8] [--turns 3] [--new-tokens 64] [--micro-batch 1024] [--checkpointing] [--json]
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { availableParallelism, cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { cpuDevice } from '../src/device/cpu/index';
import type { Device } from '../src/device/index';
import { DialogueEnvironment } from '../src/environment/index';
import { fileCheckpoints } from '../src/node/index';
import { LocalPolicy, type TrainablePolicy } from '../src/policy/index';
import { ProfileSchema } from '../src/profile/index';
import { DualReward, profileReward, responseReward, ruleJudge } from '../src/reward/index';
import { generatePersonas, SimulatedUser, scriptedBehaviour } from '../src/simulation/index';
import { PPOTrainer } from '../src/training/index';
import buildPackage from '../test/build';
import { readArguments } from './arguments';

const { values: options, positionals } = readArguments({
  allowPositionals: true,
  options: {
    dialogues: { type: 'string', default: '8' },
    turns: { type: 'string', default: '3' },
    'new-tokens': { type: 'string', default: '64' },
    'micro-batch': { type: 'string', default: '1024' },
    checkpointing: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
  },
});
const [folder] = positionals;
if (folder === undefined) throw new Error('Expected the folder of a model: bench/make-model.ts writes one.');
const say = (text: string) => process.stderr.write(`${text}\n`);

interface Part {
  calls: number;
  seconds: number;
  /** Of these, in the compiler. */
  compiling: number;
  /** Of these, in compiled programs. */
  running: number;
}

/** Seconds by what the policy is asked for. */
const parts = new Map<string, Part>();
let current: Part | undefined;

async function timed<T>(account: (seconds: number) => void, work: () => Promise<T>): Promise<T> {
  const started = performance.now();
  try {
    return await work();
  } finally {
    account((performance.now() - started) / 1000);
  }
}

/** A device that notes what the part under way compiles and runs. */
function metered(device: Device): Device {
  const account = (kind: 'compiling' | 'running') => (seconds: number) => {
    if (current) current[kind] += seconds;
  };
  const compile: Device['compile'] = (graph) => timed(account('compiling'), () => device.compile(graph));
  const run: Device['run'] = (program, given) => timed(account('running'), () => device.run(program, given));
  const runSeries: Device['runSeries'] = (program, given) => timed(account('running'), () => device.runSeries(program, given));
  return new Proxy(device, {
    get(target, key) {
      if (key === 'compile') return compile;
      if (key === 'run') return run;
      if (key === 'runSeries') return runSeries;
      const value = Reflect.get(target, key) as unknown;
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

const names: Partial<Record<keyof TrainablePolicy, (argument: unknown) => string>> = {
  act: () => 'sampling',
  score: (given) => ((given as { reference?: boolean } | undefined)?.reference ? 'scoring, reference' : 'scoring'),
  accumulatePPO: () => 'gradients',
  update: () => 'optimiser step',
  exportState: () => 'checkpoint',
};

/** A policy whose calls are parts. Calls come one after the other in training. */
function observed(policy: LocalPolicy): LocalPolicy {
  return new Proxy(policy, {
    get(target, key) {
      const value = Reflect.get(target, key, target) as unknown;
      if (typeof value !== 'function') return value;
      const name = names[key as keyof TrainablePolicy];
      if (!name) return value.bind(target);
      return async (...given: unknown[]) => {
        const part = parts.get(name(given[1])) ?? { calls: 0, seconds: 0, compiling: 0, running: 0 };
        parts.set(name(given[1]), part);
        part.calls++;
        current = part;
        try {
          return await timed(
            (seconds) => {
              part.seconds += seconds;
            },
            () => value.apply(target, given),
          );
        } finally {
          current = undefined;
        }
      };
    },
  });
}

await buildPackage();
const started = performance.now();
const policy = await LocalPolicy.load(folder, {
  lora: { rank: 16 },
  device: metered(cpuDevice()),
  maxNewTokens: Number(options['new-tokens']),
  microBatchTokens: Number(options['micro-batch']),
  gradientCheckpointing: options.checkpointing,
});
const loading = (performance.now() - started) / 1000;
say(`${cpus()[0]?.model}, ${availableParallelism()} threads, load ${loadavg()[0]!.toFixed(2)}; loaded in ${loading.toFixed(1)} s`);

const dialogues = Number(options.dialogues);
const checkpointFolder = mkdtempSync(join(tmpdir(), 'rlpa-iteration-'));
const trainer = new PPOTrainer({
  policy: observed(policy),
  environment: new DialogueEnvironment({
    schema: ProfileSchema.standard,
    maxTurns: Number(options.turns),
    user: new SimulatedUser({ behaviour: scriptedBehaviour() }),
    reward: new DualReward({ profile: profileReward(), response: responseReward({ judge: ruleJudge() }) }),
  }),
  personas: generatePersonas({ count: dialogues, seed: 1, split: 'train' }),
  checkpoints: fileCheckpoints(checkpointFolder),
  dialogues,
  minibatches: 2,
  epochs: 1,
  valueWarmup: 0,
});
trainer.on('rollout', ({ seconds }) => say(`rollout: ${seconds.toFixed(1)} s`));
const metrics = new Promise<Record<string, unknown>>((resolve) =>
  trainer.on('iteration', (event) => resolve(event.metrics as unknown as Record<string, unknown>)),
);
const began = performance.now();
await trainer.train({ iterations: 1 });
const total = (performance.now() - began) / 1000;
const found = await metrics;
await policy.dispose();
rmSync(checkpointFolder, { recursive: true });

const peak = Number(/VmHWM:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))![1]) / 1e6;
const inside = [...parts.values()].reduce((sum, { seconds }) => sum + seconds, 0);
const rows = [...parts, ['all else: users, judge, files', { calls: 1, seconds: total - inside, compiling: 0, running: 0 }] as const];
if (options.json) {
  console.log(JSON.stringify({ load: loadavg()[0], total, peakGigabytes: peak, loading, parts: Object.fromEntries(rows), metrics: found }));
} else {
  console.log(
    `one iteration, ${dialogues} dialogues × ${options.turns} turns: ${total.toFixed(1)} s, peak ${peak.toFixed(2)} GB, load ${loadavg()[0]!.toFixed(1)}`,
  );
  console.log(
    `${found.trainableTokens} trained tokens, ${found.updates} optimiser steps, gradient norm ${Number(found.gradientNorm).toPrecision(3)}\n`,
  );
  console.log('| part | calls | seconds | share | compiling | running |\n| --- | ---: | ---: | ---: | ---: | ---: |');
  for (const [name, { calls, seconds, compiling, running }] of rows) {
    const share = `${((100 * seconds) / total).toFixed(0)} %`;
    console.log(`| ${name} | ${calls} | ${seconds.toFixed(1)} | ${share} | ${compiling.toFixed(1)} | ${running.toFixed(1)} |`);
  }
}
