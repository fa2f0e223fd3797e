import { describe, expect, it } from 'vitest';
import { type SFTExample, type SFTMetrics, SFTTrainer, type SFTTrainerOptions } from '../../src/training/index';
import { damagedAfter, MemoryCheckpoints, MemoryLog, withoutTimings } from './memory-record';
import { TabularPolicy, type TabularPolicyOptions } from './tabular-policy';

/** Users say a letter twice; the assistant answers with the letter, then with the letter after it. */
const examples: SFTExample[] = [...'abcdabcdabcd'].map((letter) => ({
  messages: [
    { role: 'user', content: letter },
    { role: 'assistant', content: letter },
    { role: 'user', content: letter },
    { role: 'assistant', content: `${letter}h` },
  ],
}));

function setUp({
  policy: policyOptions = {},
  ...options
}: Omit<Partial<SFTTrainerOptions>, 'policy'> & { policy?: TabularPolicyOptions } = {}) {
  const policy = new TabularPolicy(policyOptions);
  const trainer = new SFTTrainer({ policy, examples, epochs: 3, batchSize: 4, learningRate: 0.1, ...options });
  const steps: SFTMetrics[] = [];
  trainer.on('step', ({ metrics }) => steps.push(metrics));
  return { policy, trainer, steps };
}

describe('supervised fine-tuning', () => {
  it('teaches what the assistant writes', async () => {
    const { policy, trainer, steps } = setUp({ epochs: 60, schedule: 'constant' });
    await trainer.train();
    expect(steps[0]!.loss).toBeCloseTo(Math.log(12), 5); // a fresh table is uniform over 12 tokens
    expect(steps.at(-1)!.loss).toBeLessThan(0.5);
    const [action] = await policy.act([{ dialogueId: '1', messages: [{ role: 'user', content: 'c' }], seed: 0 }], { temperature: 0 });
    expect(action!.text).toMatch(/^c/);
  });

  it('moves nothing but what predicts the assistant, and never the value head', async () => {
    const { policy, trainer } = setUp();
    await trainer.train();
    expect(policy.valueTable.every((value) => value === 0)).toBe(true);
    const trained = policy.seen
      .flatMap(({ sequences }) => sequences)
      .flatMap(({ tokens, actionMask }) => [...tokens].filter((_, t) => actionMask[t]));
    expect(trained).not.toContain(1); // the user's opening
    expect(trained).not.toContain(2); // the assistant's opening, which the template writes
  });

  it('sees every example once an epoch', async () => {
    const { trainer, steps, policy } = setUp({ epochs: 2 });
    await trainer.train();
    expect(steps.map(({ epoch }) => epoch)).toEqual([1, 1, 1, 2, 2, 2]);
    expect(policy.seen.map(({ sequences }) => sequences.length)).toEqual([4, 4, 4, 4, 4, 4]);
    const order = policy.seen.flatMap(({ sequences }) => sequences);
    expect(new Set(order.slice(0, 12)).size).toBe(12);
    expect(new Set(order.slice(12))).toEqual(new Set(order.slice(0, 12)));
  });

  it('fills its batches by tokens if asked to', async () => {
    // An example has 1+1 +1+1+1 +1+1 +1+2+1 = 11 tokens.
    const { trainer, policy } = setUp({ batchTokens: 35, epochs: 1 });
    await trainer.train();
    expect(policy.seen.map(({ sequences }) => sequences.length)).toEqual([3, 3, 3, 3]);
    const tight = setUp({ batchTokens: 1, epochs: 1 });
    await tight.trainer.train();
    expect(tight.policy.seen).toHaveLength(12);
  });

  it('ends after maxSteps, which its schedule knows', async () => {
    const { trainer, steps } = setUp({ maxSteps: 2, schedule: 'linear', warmup: 0 });
    await trainer.train();
    expect(steps.map(({ learningRate }) => learningRate)).toEqual([0.1, 0.05]);
  });

  it.each([3, 5, 12])('killed at call %i ends as if it had not been', async (fatal) => {
    const whole = setUp();
    await whole.trainer.train();
    const checkpoints = new MemoryCheckpoints();
    const log = new MemoryLog();
    let calls = 0;
    const onCall = () => {
      if (++calls === fatal) throw new Error('killed');
    };
    const record = { checkpoints, metricsLog: log, checkpointEvery: 2 };
    await expect(setUp({ ...record, policy: { onCall } }).trainer.train()).rejects.toThrow('killed');
    const resumed = setUp(record);
    await resumed.trainer.train({ resume: true });
    expect(await resumed.policy.exportState()).toEqual(await whole.policy.exportState());
    expect(log.records.map(({ metrics }) => withoutTimings(metrics))).toEqual(whole.steps.map(withoutTimings));
  });

  it('stops at its signal and goes on where it stopped', async () => {
    const controller = new AbortController();
    let calls = 0;
    const onCall = () => {
      if (++calls === 8) controller.abort();
    };
    // One sequence at a time, so that the second step is left with some of its gradient.
    const { trainer, policy } = setUp({ policy: { onCall, microBatch: 1 } });
    await expect(trainer.train({ signal: controller.signal })).rejects.toMatchObject({ code: 'aborted' });
    await trainer.train();
    const whole = setUp();
    await whole.trainer.train();
    expect(await policy.exportState()).toEqual(await whole.policy.exportState());
  });

  it('lets timers fire while it tokenises its examples, and stops there at its signal', async () => {
    const many = Array.from({ length: 200 }, (_, i) => examples[i % 12]!);
    const { policy, trainer, steps } = setUp({ examples: many });
    const encode = policy.encodePrompt.bind(policy);
    let encoded = 0;
    policy.encodePrompt = (messages) => {
      encoded++;
      const started = performance.now();
      while (performance.now() - started < 1); // a long dialogue
      return encode(messages);
    };
    await expect(trainer.train({ signal: AbortSignal.timeout(20) })).rejects.toMatchObject({ code: 'aborted' });
    expect(encoded).toBeLessThan(400);
    expect(steps).toEqual([]);
  });

  it('says what is other than in the run that is resumed: options, and the number of examples', async () => {
    const checkpoints = new MemoryCheckpoints();
    await setUp({ checkpoints, batchSize: 1, maxSteps: 4 }).trainer.train();
    const resumed = async (options: Omit<Partial<SFTTrainerOptions>, 'policy'>) => {
      const { trainer } = setUp({ checkpoints, batchSize: 1, maxSteps: 4, ...options });
      const warnings: unknown[] = [];
      trainer.on('warning', (warning) => warnings.push(warning));
      await trainer.train({ resume: true });
      return warnings;
    };
    expect(await resumed({})).toEqual([]);
    expect(await resumed({ checkpointEvery: 2 })).toEqual([]);
    expect(await resumed({ batchSize: 4, maxSteps: undefined, epochs: 1, examples: examples.slice(1) })).toEqual([
      {
        code: 'options-changed',
        step: 4,
        message:
          'The resumed run will differ from the one that was stopped: ' +
          'epochs was 3 and is 1, batchSize was 1 and is 4, maxSteps was 4 and is left out, examples was 12 and is 11.',
      },
    ]);
  });

  it('says where the log-probabilities of its policy are of another temperature than in the run that is resumed', async () => {
    const checkpoints = new MemoryCheckpoints();
    await setUp({ checkpoints, policy: { temperature: 0.7 } }).trainer.train();
    const { trainer } = setUp({ checkpoints });
    const messages: string[] = [];
    trainer.on('warning', ({ message }) => messages.push(message));
    await trainer.train({ resume: true });
    expect(messages).toEqual([expect.stringContaining('temperature was 0.7 and is 1.')]);
  });

  it('says which checkpoint of the run that is resumed is damaged, and where it goes on instead', async () => {
    const checkpoints = new MemoryCheckpoints();
    await setUp({ checkpoints, checkpointEvery: 1, maxSteps: 2 }).trainer.train();
    const { trainer } = setUp({ checkpoints: damagedAfter(1, checkpoints), maxSteps: 2 });
    const warnings: unknown[] = [];
    trainer.on('warning', (warning) => warnings.push(warning));
    await trainer.train({ resume: true });
    const message = 'Goes on from step 1, for a later checkpoint is damaged: checkpoint-2: the file is truncated.';
    expect(warnings).toEqual([{ code: 'damaged-checkpoint', step: 1, message }]);
    expect(trainer.step).toBe(2);
  });

  it('does not begin anew on a policy that it has trained, where its checkpoints are gone', async () => {
    const checkpoints = new MemoryCheckpoints();
    const { trainer } = setUp({ checkpoints, maxSteps: 2 });
    await trainer.train();
    checkpoints.saved.length = 0;
    await expect(trainer.train({ resume: true })).rejects.toMatchObject({ code: 'invalid-checkpoint' });
    expect(trainer.step).toBe(2);
  });

  it('ends at a step whose gradient is no number, before it is logged or saved', async () => {
    const checkpoints = new MemoryCheckpoints();
    const log = new MemoryLog();
    const { policy, trainer } = setUp({ checkpoints, metricsLog: log, checkpointEvery: 1 });
    const update = policy.update.bind(policy);
    policy.update = async (step) => {
      if (policy.version === 2) policy.logitGradient.fill(Number.NaN);
      return update(step);
    };
    await expect(trainer.train()).rejects.toMatchObject({
      code: 'training-failed',
      message:
        'The gradient norm of step 3 is NaN: expected a finite number. Resume from the last checkpoint, or start again, with a lower learning rate.',
    });
    expect(trainer.step).toBe(2);
    expect(log.records.map(({ position }) => position)).toEqual([1, 2]);
    expect((await checkpoints.latest())!.position).toBe(2);
  });

  it('ends before a step whose loss is no number, and says how to go on', async () => {
    const { policy, trainer } = setUp();
    policy.logits.fill(Number.NaN);
    await expect(trainer.train()).rejects.toMatchObject({
      code: 'training-failed',
      message: expect.stringMatching(/loss of step 1 is NaN.*lower learning rate/),
    });
    expect(policy.version).toBe(0);
  });

  it('refuses the checkpoint of a PPO run', async () => {
    const checkpoints = new MemoryCheckpoints();
    await setUp({ checkpoints }).trainer.train();
    const saved = await checkpoints.latest();
    checkpoints.saved.push({ ...saved!, kind: 'ppo' });
    await expect(setUp({ checkpoints }).trainer.train({ resume: true })).rejects.toMatchObject({ code: 'invalid-checkpoint' });
  });

  it.each([
    [{ learningRate: Number.NaN }, 'learningRate'],
    [{ epochs: 0 }, 'epochs'],
    [{ batchTokens: -4 }, 'batchTokens'],
    [{ examples: [] }, 'examples'],
    [{ examples: [{ messages: [] }] }, 'examples'],
    [{ examples: [{ messages: [{ role: 'user', content: 'a' }] }] }, 'examples'],
    [{ clip: 0.2 }, 'clip'],
  ])('refuses options that make no sense: %o', (wrong, option) => {
    expect(() => setUp(wrong as Partial<SFTTrainerOptions> as object)).toThrow(
      expect.objectContaining({ code: 'invalid-option', details: expect.objectContaining({ option }) }),
    );
  });
});
