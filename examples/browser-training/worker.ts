/**
 * The training, in a thread of its own so that the page stays alive. It knows no page: it takes the messages of `ToWorker` and answers with
 * those of `FromWorker`.
 */
import {
  beforeAfterTable,
  evaluate,
  type GpuDevice,
  type LocalPolicy,
  openWebGpu,
  PersonalizedAgent,
  PPOTrainer,
  RlpaError,
  transcriptPrompt,
} from 'rlpa';
import { type TinyTask, tinyTask } from 'rlpa/tiny';
import type { FromWorker, KnownSlot, Phase, ToWorker } from './messages';

const post = (message: FromWorker) => self.postMessage(message);

/** The visitor: there is only one. */
const userId = 'visitor';

/** `micro` is over after the three iterations of its recipe; ten of them make a curve. */
const microIterations = 10;

/** What is under way, and who has been trained. */
let working = new AbortController();
let policy: LocalPolicy | undefined;
let agent: PersonalizedAgent | undefined;

/** The GPU that was found when the page was opened; the first training takes it, later ones open their own. */
let found: GpuDevice | undefined;

self.onmessage = ({ data }: MessageEvent<ToWorker>) => {
  if (data.type === 'stop') return working.abort();
  working = new AbortController();
  if (data.type === 'train') return train(data, working.signal);
  if (data.type === 'say') return say(data.message, working.signal);
  return forget();
};

try {
  found = await openWebGpu();
  post({ type: 'gpu', ...found.adapter });
} catch (error) {
  post({ type: 'no-gpu', message: messageOf(error) });
}

/** The whole of it: a policy that starts from nothing, measured, trained by PPO, and measured again. */
async function train({ size, seed }: Extract<ToWorker, { type: 'train' }>, signal: AbortSignal): Promise<void> {
  let iteration = 0;
  try {
    await leave();
    const device = found ?? (await openWebGpu());
    found = undefined;
    const task = tinyTask({ size, seed });
    const learner = await task.warmStart({
      device,
      signal,
      onProgress: ({ phase, done, total, unit }) => post({ type: 'progress', progress: { phase, done, total, unit } }),
    });
    // from here on there is somebody to talk to, even if the training is stopped
    policy = learner;
    agent = agentOf(learner, task);

    const measure = (phase: Phase) =>
      evaluate({
        ...task.measuring,
        policy: learner,
        personas: task.heldOut,
        signal,
        onProgress: (progress) => post({ type: 'progress', progress: { ...progress, phase, unit: 'dialogues' } }),
      });
    const before = await measure('before');

    const iterations = size === 'micro' ? microIterations : task.iterations;
    const trainer = new PPOTrainer({ ...task.ppo, policy: learner, environment: task.environment, personas: task.training, seed });
    post({ type: 'progress', progress: { phase: 'ppo', done: 0, total: iterations, unit: 'iterations' } });
    trainer.on('iteration', ({ metrics }) => {
      iteration = metrics.iteration;
      const { reward, profileF1, responsePass } = metrics;
      post({ type: 'iteration', point: { iteration, reward, profileF1, aligned: responsePass } });
      post({ type: 'progress', progress: { phase: 'ppo', done: iteration, total: iterations, unit: 'iterations' } });
    });
    await trainer.train({ iterations, signal });

    post({ type: 'table', table: beforeAfterTable(before, await measure('after')) });
    post({ type: 'trained', parameters: learner.parameterCount });
  } catch (error) {
    const stopped = isCode(error, 'aborted');
    if (stopped && policy) return post({ type: 'trained', parameters: policy.parameterCount, stoppedAfter: iteration });
    await leave();
    post({ type: 'failed', stopped, message: messageOf(error) });
  } finally {
    if (agent) await showProfile();
  }
}

/** An app's view of the policy: a model like any other, with the prompt that it was trained to read. */
function agentOf(learner: LocalPolicy, { seed, environment, measuring }: TinyTask): PersonalizedAgent {
  const { schema, instruction, history } = environment;
  const { temperature } = measuring;
  const model = learner.asChatModel({ seed, temperature });
  return new PersonalizedAgent({ schema, model, prompt: transcriptPrompt({ instruction, history }), form: 'text' });
}

async function say(message: string, signal: AbortSignal): Promise<void> {
  if (!agent) return post({ type: 'answered', problem: 'There is nobody to talk to yet: start a training.' });
  try {
    for await (const part of agent.stream({ userId, message, signal })) {
      if (part.type === 'reply') post({ type: 'reply', text: part.text });
      if (part.type !== 'finish') continue;
      await showProfile();
      post({
        type: 'answered',
        tokens: part.usage.outputTokens,
        milliseconds: part.latencyMs,
        problem: part.problem && `What the model wrote is not in the form of a turn: ${part.problem.message}`,
      });
    }
  } catch (error) {
    post({ type: 'answered', problem: isCode(error, 'aborted') ? 'Stopped.' : messageOf(error) });
  }
}

async function forget(): Promise<void> {
  await agent?.erase(userId);
  await showProfile();
}

/** For each slot what is known, with the words that it rests on. */
async function showProfile(): Promise<void> {
  if (!agent) return;
  const items = (await agent.history(userId)).filter(({ validTo }) => validTo === undefined);
  const slots = Object.values(agent.schema.slots).map(({ key, label }): KnownSlot => {
    const item = items.find(({ slot }) => slot === key);
    return { label, value: item?.text, source: item?.source, evidence: item?.evidence?.text };
  });
  post({ type: 'profile', slots });
}

/** Gives the GPU's memory back. */
async function leave(): Promise<void> {
  const former = policy;
  policy = undefined;
  agent = undefined;
  await former?.dispose();
}

function isCode(error: unknown, code: RlpaError['code']): boolean {
  return RlpaError.isInstance(error) && error.code === code;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
