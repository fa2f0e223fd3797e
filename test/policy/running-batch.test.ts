import { afterAll, describe, expect, it, vi } from 'vitest';
import { cpuDevice } from '../../src/device/cpu/index';
import { microPolicy, warmWeights } from '../integration/micro-policy';
import { describeWithShared } from '../shared';
import { expectedGreedyText, storiesPolicy } from './stories';

describeWithShared('the running batch, with a published checkpoint', 'models/stories260k/config.json', () => {
  const policy = storiesPolicy(cpuDevice({ threads: 2 }));
  afterAll(() => policy.dispose());
  const encode = (text: string) => Int32Array.of(1, ...policy.tokenizer.encode(text));
  const once = encode('Once upon a time');
  const text = (prompt: Int32Array, completion: Int32Array) => policy.tokenizer.decode([...prompt, ...completion], { skipSpecial: true });

  it('writes the reference text word for word while others join and leave', async () => {
    const others: Promise<unknown>[] = [];
    let written = 0;
    const sample = await policy.sampleAlongside({
      prompt: once,
      seed: 0,
      temperature: 0,
      maxNewTokens: 201 - once.length,
      onToken: () => {
        written++;
        // short ones, which come and go; one with a prompt of several chunks; three at once; one that is aborted
        if (written % 20 === 5) others.push(policy.sampleAlongside({ prompt: encode('Tom'), seed: written, maxNewTokens: 7 }));
        if (written === 30)
          others.push(policy.sampleAlongside({ prompt: encode('A dog ran home. '.repeat(40)), seed: 1, maxNewTokens: 9 }));
        if (written === 60) for (let i = 0; i < 3; i++) others.push(policy.sampleAlongside({ prompt: once, seed: i, maxNewTokens: 30 }));
        if (written === 61) {
          const signal = AbortSignal.timeout(5);
          others.push(policy.sampleAlongside({ prompt: once, seed: 7, signal }).catch(() => 'aborted'));
        }
      },
    });
    expect(text(once, sample.completion)).toBe(expectedGreedyText());
    const settled = await Promise.all(others);
    expect(settled).toHaveLength(10 + 1 + 3 + 1);
    expect(settled).toContain('aborted');
    expect(policy.sampling).toMatchObject({ waiting: 0, running: 0 });
  });

  it('samples what a batch of its own would, token for token, whoever else is there', async () => {
    const requests = Array.from({ length: 13 }, (_, i) => ({
      prompt: encode('The little dog ran home. '.repeat(1 + (i % 5) * 6)),
      seed: i,
    }));
    const own = await policy.sample(
      requests.map((request, i) => ({ owner: `o${i}`, ...request })),
      { maxNewTokens: 25 },
    );
    policy.release(requests.map((_, i) => `o${i}`));
    const together = await Promise.all(
      requests.map(async (request, i) => {
        await new Promise((resolve) => setTimeout(resolve, i * 3));
        return policy.sampleAlongside({ ...request, maxNewTokens: 25 });
      }),
    );
    expect(together.map(({ completion }) => [...completion])).toEqual(own.map(({ completion }) => [...completion]));
    for (const [i, { logProbs, values }] of together.entries()) {
      const difference = (a: Float32Array, b: Float32Array) => Math.max(...a.map((x, t) => Math.abs(x - b[t]!)));
      expect(difference(logProbs, own[i]!.logProbs)).toBeLessThan(1e-4);
      expect(difference(values, own[i]!.values)).toBeLessThan(1e-4);
    }
  });

  it('runs the model once a token for all of them, not once for each', async () => {
    const before = policy.sampling;
    await Promise.all(Array.from({ length: 8 }, (_, seed) => policy.sampleAlongside({ prompt: once, seed, maxNewTokens: 40 })));
    const { steps, tokens } = policy.sampling;
    expect(tokens - before.tokens).toBeGreaterThan(8 * 30);
    expect(steps - before.steps).toBeLessThan(50);
  });

  it('samples each by its own temperature and limits', async () => {
    const greedy = () => policy.sampleAlongside({ prompt: once, seed: 1, temperature: 0, maxNewTokens: 30 });
    const alone = await greedy();
    const [same, onlyTop, cold, free] = await Promise.all([
      greedy(),
      // one candidate is the greedy choice, whatever the temperature
      policy.sampleAlongside({ prompt: once, seed: 1, limits: { topK: 1 }, maxNewTokens: 30 }),
      policy.sampleAlongside({ prompt: once, seed: 1, temperature: 1e-3, maxNewTokens: 30 }),
      policy.sampleAlongside({ prompt: once, seed: 1, maxNewTokens: 30 }),
    ]);
    for (const sample of [same, onlyTop, cold]) expect([...sample.completion]).toEqual([...alone.completion]);
    expect([...free.completion]).not.toEqual([...alone.completion]);
  });

  it('takes at most 32 at a time; the others wait and are served', async () => {
    let most = 0;
    const all = Array.from({ length: 40 }, (_, seed) =>
      policy.sampleAlongside({
        prompt: once,
        seed,
        maxNewTokens: 5,
        onToken: () => {
          most = Math.max(most, policy.sampling.running);
        },
      }),
    );
    expect((await Promise.all(all)).map(({ completion }) => completion.length)).toEqual(Array(40).fill(5));
    expect(most).toBe(32);
  });

  it('gives the room of a long text back while others go on', async () => {
    const long = policy.sampleAlongside({ prompt: encode('A dog ran home. '.repeat(50)), seed: 1, maxNewTokens: 3 });
    const going = policy.sampleAlongside({ prompt: once, seed: 0, temperature: 0, maxNewTokens: 120 - once.length });
    await long;
    // the newcomer finds a cache four times as large as anybody needs
    await policy.sampleAlongside({ prompt: encode('Tom'), seed: 2, maxNewTokens: 4 });
    const written = text(once, (await going).completion);
    expect(written.length).toBeGreaterThan(100);
    expect(expectedGreedyText().startsWith(written)).toBe(true);
  });
});

describeWithShared('dialogues that come back', 'models/stories260k/config.json', () => {
  const policy = storiesPolicy(cpuDevice({ threads: 2 }));
  const forgetful = storiesPolicy(cpuDevice({ threads: 2 }));
  afterAll(() => Promise.all([policy.dispose(), forgetful.dispose()]));
  const encode = (text: string) => Int32Array.of(1, ...policy.tokenizer.encode(text));
  const likeliest = { temperature: 0, maxNewTokens: 12 };

  /** What the policy says, after comparing it with what one says that holds nothing; and how much of the prompt it held. */
  async function answer(prompt: Int32Array): Promise<{ completion: Int32Array; reused: number }> {
    const before = policy.sampling.reused;
    const { completion, logProbs } = await policy.sampleAlongside({ ...likeliest, prompt, seed: 0 });
    const [afresh] = await forgetful.sample([{ owner: 'nobody', prompt, seed: 0 }], likeliest);
    forgetful.release(['nobody']);
    expect([...completion]).toEqual([...afresh!.completion]);
    for (const [i, logProb] of logProbs.entries()) expect(Math.abs(logProb - afresh!.logProbs[i]!)).toBeLessThan(1e-4);
    return { completion, reused: policy.sampling.reused - before };
  }
  const follow = (prompt: Int32Array, completion: Int32Array, next: string) =>
    Int32Array.of(...prompt, ...completion, ...policy.tokenizer.encode(next));

  /** Several dialogues by turns; → the prompts that come next, and what the policy should hold of each. */
  async function byTurns(beginnings: readonly string[], turns: number): Promise<{ prompt: Int32Array; held: number }[]> {
    let dialogues = beginnings.map((text) => ({ prompt: encode(text), held: 0 }));
    for (let turn = 0; turn < turns; turn++) {
      const next: typeof dialogues = [];
      for (const { prompt, held } of dialogues) {
        const { completion, reused } = await answer(prompt);
        expect(reused).toBe(held);
        // the last token that was sampled has not been fed
        next.push({ prompt: follow(prompt, completion, ' Then'), held: prompt.length + completion.length - 1 });
      }
      dialogues = next;
    }
    return dialogues;
  }

  it('are read from where they have changed, several of them by turns', async () => {
    await byTurns(['Once upon a time', 'Lily had a red ball', 'The sun was hot'], 4);
  });

  it('are read anew where they have little in common with what is held, or another has taken its place', async () => {
    const texts = Array.from({ length: 10 }, (_, i) =>
      encode(`${'abcdefghij'[i]} bird sang to the cat. It was a nice day for all of them.`),
    );
    for (const prompt of texts) expect((await answer(prompt)).reused).toBe(0);
    // eight are kept: the last ones
    expect((await answer(texts[0]!)).reused).toBe(0);
    expect((await answer(texts[9]!)).reused).toBe(texts[9]!.length - 1);
  });

  it('are held, a long one too, while shorter ones come', async () => {
    const long = encode('A dog ran home. '.repeat(40));
    const { completion } = await answer(long);
    await answer(encode('Tom'));
    const { reused } = await answer(follow(long, completion, ' Then'));
    expect(reused).toBe(long.length + completion.length - 1);
  });

  it('do not take each other’s place for a beginning that they share', async () => {
    const instruction = 'This is a story about a boy who lived by the sea and had many friends. ';
    const names = ['Tom', 'Lily', 'Sam'];
    const dialogues = await byTurns(
      names.map((name) => `${instruction}${name}`),
      3,
    );
    // asked for together, whoever is first
    const before = policy.sampling.reused;
    await Promise.all([...dialogues].reverse().map(({ prompt }) => policy.sampleAlongside({ ...likeliest, prompt, seed: 0 })));
    expect(policy.sampling.reused - before).toBe(dialogues.reduce((sum, { held }) => sum + held, 0));
  });

  it('are read anew once the weights have changed', async () => {
    const prompt = encode('One day a girl went to the park with her mom');
    await answer(prompt);
    expect((await answer(prompt)).reused).toBe(prompt.length - 1);
    await policy.importState(await policy.exportState());
    expect((await answer(prompt)).reused).toBe(0);
  });

  it('are found while others are under way', async () => {
    const prompt = encode('The boy saw a big tree and a small house');
    const other = policy.sampleAlongside({ prompt: encode('Sam'), seed: 1, maxNewTokens: 200 });
    const { completion } = await answer(prompt);
    const next = follow(prompt, completion, ' and');
    expect((await answer(next)).reused).toBe(next.length - policy.tokenizer.encode(' and').length - 1);
    await other;
  });
});

describe('the running batch', () => {
  const prompt = (policy: ReturnType<typeof microPolicy>) => policy.encodePrompt([{ role: 'user', content: 'I like hiking.' }]);

  it('lets an aborted request go at once and stops computing for it', async () => {
    const policy = microPolicy({ seed: 1, maxNewTokens: 400 });
    const controller = new AbortController();
    let tokens = 0;
    const sampling = policy.sampleAlongside({
      prompt: prompt(policy),
      seed: 1,
      signal: controller.signal,
      onToken: () => {
        if (++tokens === 3) controller.abort();
      },
    });
    await expect(sampling).rejects.toMatchObject({ code: 'aborted' });
    await policy.sampleAlongside({ prompt: prompt(policy), seed: 2, maxNewTokens: 5 });
    expect(tokens).toBeLessThanOrEqual(4);
    expect(policy.sampling).toMatchObject({ waiting: 0, running: 0, tokens: tokens + 5 });
    await policy.dispose();
  });

  it.each([
    ['quick, in as few runs as it can', 0, 2],
    ['slow, in pieces between which others go on', 100, 3],
  ])('reads the prompt of a newcomer where the model is %s', async (_, msAToken, runs) => {
    const policy = microPolicy({ seed: 1, maxNewTokens: 4 });
    let now = 0;
    const clock = vi.spyOn(performance, 'now').mockImplementation(() => now);
    const onToken = () => {
      now += msAToken;
    };
    try {
      await policy.sampleAlongside({ prompt: prompt(policy), seed: 1, onToken });
      const { steps } = policy.sampling;
      await policy.sampleAlongside({ prompt: new Int32Array(391).fill(5), seed: 2, maxNewTokens: 1 });
      expect(policy.sampling.steps - steps).toBe(runs);
    } finally {
      clock.mockRestore();
    }
    await policy.dispose();
  });

  it('reads the prompts of eighteen who come at once as sixteen and two, and writes what each would have alone', async () => {
    const policy = microPolicy({ seed: 1, maxNewTokens: 6 });
    const requests = Array.from({ length: 18 }, (_, i) => ({ prompt: new Int32Array(64).fill(5 + i), seed: i, temperature: 0 }));
    const together = await Promise.all(requests.map((request) => policy.sampleAlongside({ ...request, maxNewTokens: 1 })));
    expect(policy.sampling.steps).toBe(2);
    for (const [i, { completion }] of together.entries())
      expect((await policy.sampleAlongside({ ...requests[i]!, maxNewTokens: 1 })).completion).toEqual(completion);
    await policy.dispose();
  });

  it('refuses a prompt that the model cannot read, and goes on with the others', async () => {
    const policy = microPolicy({ seed: 1 });
    const fine = policy.sampleAlongside({ prompt: prompt(policy), seed: 1 });
    await expect(policy.sampleAlongside({ prompt: new Int32Array(512).fill(5), seed: 1 })).rejects.toMatchObject({
      code: 'model-failed',
      details: { prompt: 512, maxPositions: 512 },
    });
    await expect(fine).resolves.toBeDefined();
    await policy.dispose();
  });

  it.each(['onToken', 'isEnd'])('ends a request whose own %s throws, and goes on with the others', async (callback) => {
    const policy = microPolicy({ seed: 1, maxNewTokens: 20 });
    const cause = new Error('not my day');
    let tokens = 0;
    const failing = () => {
      if (++tokens === 3) throw cause;
      return false;
    };
    const broken = policy.sampleAlongside({ prompt: prompt(policy), seed: 1, [callback]: failing });
    const alone = { prompt: prompt(policy), seed: 2, temperature: 0 };
    const [failed, other] = await Promise.allSettled([broken, policy.sampleAlongside(alone)]);
    expect(failed).toMatchObject({ status: 'rejected', reason: { code: 'model-failed', cause } });
    expect(tokens).toBe(3);
    const { completion } = await policy.sampleAlongside(alone);
    expect(other).toMatchObject({ status: 'fulfilled', value: { completion } });
    await policy.dispose();
  });

  it('refuses a seed that is none at the door, and goes on with the others', async () => {
    const policy = microPolicy({ seed: 1, maxNewTokens: 5 });
    const fine = policy.sampleAlongside({ prompt: prompt(policy), seed: 1 });
    await expect(policy.sampleAlongside({ prompt: prompt(policy), seed: 1.5 })).rejects.toMatchObject({ code: 'invalid-option' });
    await expect(policy.sample([{ owner: 'a', prompt: prompt(policy), seed: 1.5 }])).rejects.toMatchObject({ code: 'invalid-option' });
    await expect(fine).resolves.toBeDefined();
    await policy.dispose();
  });

  it('gives all of a text whose end is none of the stop tokens', async () => {
    const policy = microPolicy({ seed: 1, maxNewTokens: 20 });
    const request = { prompt: prompt(policy), seed: 3, temperature: 0 };
    const whole = await policy.sampleAlongside(request);
    let tokens = 0;
    const cut = await policy.sampleAlongside({ ...request, isEnd: () => ++tokens === 4 });
    expect(cut).toMatchObject({ completion: whole.completion.slice(0, 4), finishReason: 'stop' });
    expect(policy.decode(cut)).toBe(policy.tokenizer.decode(whole.completion.slice(0, 4), { skipSpecial: true }));
    await policy.dispose();
  });

  it('fails all requests with the device, those that wait included', async () => {
    const policy = microPolicy({ seed: 1, maxNewTokens: 400 });
    let gone: Promise<void> | undefined;
    const onToken = () => {
      gone ??= policy.dispose();
    };
    const all = Array.from({ length: 40 }, (_, seed) => policy.sampleAlongside({ prompt: prompt(policy), seed, onToken }));
    const settled = await Promise.allSettled(all);
    await gone;
    // A sample may have come to its end by then; those that had not begun cannot have.
    const failures = settled.flatMap((each) => (each.status === 'rejected' ? [each.reason.code] : []));
    expect(new Set(failures)).toEqual(new Set(['device-failed']));
    expect(failures.length).toBeGreaterThan(20);
    expect(settled.slice(32).every(({ status }) => status === 'rejected')).toBe(true);
  });

  it('goes on by the new weights when they change under way', async () => {
    const weights = await warmWeights();
    const trained = microPolicy({ weights });
    const policy = microPolicy({ seed: 1 });
    const state = await trained.exportState();
    const request = { prompt: prompt(policy), seed: 3, temperature: 0, maxNewTokens: 40 };
    const sampled: number[] = [];
    let changed: Promise<void> | undefined;
    let before = 0;
    const mixed = await policy.sampleAlongside({
      ...request,
      onToken: (token) => {
        sampled.push(token);
        if (sampled.length === 10)
          changed = policy.importState(state).then(() => {
            before = sampled.length;
          });
      },
    });
    await changed;
    // what the trained policy says after the tokens that the old weights had sampled
    const begun = Int32Array.of(...request.prompt, ...sampled.slice(0, before));
    const rest = await trained.sampleAlongside({ ...request, prompt: begun, maxNewTokens: 40 - before });
    expect(before).toBeGreaterThanOrEqual(10);
    expect(rest.completion.length).toBeGreaterThan(3);
    expect([...mixed.completion.slice(before)]).toEqual([...rest.completion]);
    await Promise.all([policy.dispose(), trained.dispose()]);
  });
});

describe('a local policy as a chat model', () => {
  const policy = microPolicy({ seed: 2, maxNewTokens: 30, limits: { topK: 1 } });
  afterAll(() => policy.dispose());
  const messages = [{ role: 'user', content: 'I like hiking.' }] as const;

  it("keeps the policy's top-k when a request sets a top-p", async () => {
    const model = policy.asChatModel();
    const [plain, limited] = await Promise.all([model.generate({ messages }), model.generate({ messages, topP: 0.999 })]);
    // with one candidate there is nothing to choose, however wide the nucleus
    expect(limited.text).toBe(plain.text);
  });

  it('shows a streamed text as it is sampled, or in pieces where tokens come sooner than pieces may', async () => {
    const policy = microPolicy({ seed: 1, maxNewTokens: 30 });
    const stream = async (pieceMs: number) => {
      const texts: string[] = [];
      let text = '';
      for await (const part of policy.asChatModel({ seed: 1, pieceMs }).stream({ messages: [{ role: 'user', content: 'Hello' }] })) {
        if (part.type === 'text') texts.push(part.text);
        else text = part.text;
      }
      expect(texts.join('')).toBe(text);
      return { texts, text };
    };
    const each = await stream(0);
    // 30 tokens, eight at a time where they take no time
    expect(each.texts.length).toBeGreaterThanOrEqual(4);
    const pieces = await stream(1e9);
    expect(pieces.text).toBe(each.text);
    // the first at once, and the rest at the end
    expect(pieces.texts.length).toBeLessThanOrEqual(3);
    expect(pieces.text.startsWith(pieces.texts[0]!)).toBe(true);
    await policy.dispose();
  });

  it('answers differently from call to call, and alike by one seed', async () => {
    const free = microPolicy({ seed: 2, maxNewTokens: 30 });
    const texts = async (model: ReturnType<typeof free.asChatModel>, count: number) => {
      const found: string[] = [];
      for (let i = 0; i < count; i++) found.push((await model.generate({ messages })).text);
      return found;
    };
    expect(new Set(await texts(free.asChatModel(), 4)).size).toBe(4);
    expect(await texts(free.asChatModel({ seed: 5 }), 3)).toEqual(await texts(free.asChatModel({ seed: 5 }), 3));
    const model = free.asChatModel();
    expect((await model.generate({ messages, seed: 9 })).text).toBe((await model.generate({ messages, seed: 9 })).text);
    await free.dispose();
  });

  it('ends a call at its deadline or with its signal, and goes on with others', async () => {
    const patient = microPolicy({ seed: 2, maxNewTokens: 4000 });
    const model = patient.asChatModel();
    await expect(model.generate({ messages, timeoutMs: 1 })).rejects.toMatchObject({ code: 'timeout' });
    const controller = new AbortController();
    const left = model.generate({ messages, signal: controller.signal });
    controller.abort();
    await expect(left).rejects.toMatchObject({ code: 'aborted' });
    expect((await model.generate({ messages, maxTokens: 5 })).usage.outputTokens).toBeLessThanOrEqual(5);
    expect(patient.sampling).toMatchObject({ waiting: 0, running: 0 });
    await patient.dispose();
  });

  it('ends at a stop string, and counts the tokens that were really sampled', async () => {
    const model = policy.asChatModel();
    const whole = await model.generate({ messages });
    expect(whole.usage.outputTokens).toBeGreaterThan(10);
    const stop = whole.text.slice(6, 10);
    const before = policy.sampling.tokens;
    const cut = await model.generate({ messages, stop: [stop, ''] });
    expect(cut).toMatchObject({ text: whole.text.slice(0, whole.text.indexOf(stop)), finishReason: 'stop' });
    await model.generate({ messages, maxTokens: 1 });
    expect(cut.usage.outputTokens).toBeLessThan(whole.usage.outputTokens);
    expect(policy.sampling.tokens - before).toBeLessThanOrEqual(cut.usage.outputTokens + 3);
  });
});
