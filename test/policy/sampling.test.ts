import { afterAll, expect, it } from 'vitest';
import { devices } from '../device';
import { describeWithShared } from '../shared';
import { expectedGreedyText, storiesPolicy } from './stories';

for (const [kind, open] of Object.entries(devices)) {
  describeWithShared(`sampling from a published checkpoint on ${kind}`, 'models/stories260k/config.json', async () => {
    const policy = storiesPolicy(await open());
    afterAll(() => policy.dispose());
    const encode = (text: string) => Int32Array.of(1, ...policy.tokenizer.encode(text));
    const once = encode('Once upon a time');
    /** So many of the tokens that a processor is asked for: a software adapter takes a hundred times as long for each. */
    const some = (tokens: number) => (kind === 'cpu' ? tokens : Math.ceil(tokens / 4));
    const text = (prompt: Int32Array, completion: Int32Array) => policy.tokenizer.decode([...prompt, ...completion], { skipSpecial: true });

    it('writes the reference text word for word', async () => {
      const [sample] = await policy.sample([{ owner: 'a', prompt: once, seed: 0 }], { temperature: 0, maxNewTokens: 201 - once.length });
      expect(text(once, sample!.completion)).toBe(expectedGreedyText());
      policy.release(['a']);
    });

    it('writes it beside other prompts of other lengths in one batch', async () => {
      const prompts = [encode('The little dog was so happy that it ran all the way home and'), once, encode('No')];
      const samples = await policy.sample(
        prompts.map((prompt, i) => ({ owner: `b${i}`, prompt, seed: i })),
        { temperature: 0, maxNewTokens: some(201 - once.length) },
      );
      const written = text(once, samples[1]!.completion);
      expect(written.length).toBeGreaterThan(some(400));
      expect(expectedGreedyText().slice(0, kind === 'cpu' ? undefined : written.length)).toBe(written);
      policy.release(['b0', 'b1', 'b2']);
    });

    it('samples the same tokens from one seed, whatever else is in the batch', async () => {
      const alone = await policy.sample([{ owner: 'c', prompt: once, seed: 5 }], { maxNewTokens: 40 });
      const together = await policy.sample(
        [
          { owner: 'd', prompt: encode('Tom'), seed: 9 },
          { owner: 'e', prompt: once, seed: 5 },
        ],
        { maxNewTokens: 40 },
      );
      expect([...together[1]!.completion]).toEqual([...alone[0]!.completion]);
      expect([...together[0]!.completion]).not.toEqual([...alone[0]!.completion]);
      policy.release(['c', 'd', 'e']);
    });

    it('reuses what it computed for a dialogue, and goes on as if it had computed it all again', async () => {
      const [first] = await policy.sample([{ owner: 'f', prompt: once, seed: 1 }], { maxNewTokens: 30 });
      const longer = Int32Array.of(...once, ...first!.completion, ...policy.tokenizer.encode(' Then'));
      const [reused] = await policy.sample([{ owner: 'f', prompt: longer, seed: 2 }], { maxNewTokens: some(150) });
      const [fresh] = await policy.sample([{ owner: 'g', prompt: longer, seed: 2 }], { maxNewTokens: some(150) });
      expect([...reused!.completion]).toEqual([...fresh!.completion]);
      policy.release(['f', 'g']);
    });

    it('scores what it sampled with the log-probabilities of the sampling', async () => {
      for (const limits of [undefined, { topK: 12 }, { topP: 0.8 }]) {
        const limited = storiesPolicy(await open(), { temperature: 0.7, limits });
        const [sample] = await limited.sample([{ owner: 'h', prompt: once, seed: 3 }], { maxNewTokens: some(60) });
        const tokens = Int32Array.of(...once, ...sample!.completion);
        const actionMask = Uint8Array.from(tokens, (_, t) => Number(t >= once.length));
        const [scored] = await limited.score([{ tokens, actionMask }]);
        const difference = sample!.logProbs.map((logProb, i) => Math.abs(logProb - scored!.logProbs[once.length + i]!));
        expect(Math.max(...difference)).toBeLessThan(1e-4);
        await limited.dispose();
      }
    });

    it('gives the same log-probabilities padded left, padded right and packed', async () => {
      const sequences = [
        once,
        encode('No'),
        encode('The big red ball was very'),
        encode('One day'),
        encode('Lily and Tom went to the park to play.'),
      ].map((tokens) => ({
        tokens,
        actionMask: Uint8Array.from(tokens, (_, t) => Number(t > 0)),
      }));
      const [right, left, packed] = await Promise.all(
        (['right', 'left', 'packed'] as const).map(async (layout) => {
          const policy = storiesPolicy(await open(), { layout, microBatchTokens: 128 });
          const scores = await policy.score(sequences);
          await policy.dispose();
          return scores.map(({ logProbs }) => [...logProbs]);
        }),
      );
      const differences = (a: number[][], b: number[][]) =>
        Math.max(...a.flatMap((row, i) => row.map((value, t) => Math.abs(value - b[i]![t]!))));
      expect(differences(left!, right!)).toBeLessThan(1e-4);
      expect(differences(packed!, right!)).toBeLessThan(1e-4);
      expect(right![0]!.some((value) => value < -0.1)).toBe(true);
    });
  });
}
