import { describe, expect, it } from 'vitest';
import { copyingWeights } from '../../src/experiments/copying-weights';
import { inventTalk } from '../../src/experiments/invented-talk';
import { takeNotes } from '../../src/experiments/note-takers';
import { isTelling, notesOn } from '../../src/experiments/notes';
import { findPeople } from '../../src/experiments/people';
import { tinyTokenizer } from '../../src/experiments/tiny-tokenizer';
import { words } from '../../src/language/index';
import { mean } from '../../src/mean';
import { LocalPolicy } from '../../src/policy/index';
import { type ProfileSchema, parseTurn } from '../../src/profile/index';
import { Random } from '../../src/random';
import { factsSchema } from '../../src/simulation/index';
import { initialWeights, parseModelConfig } from '../../src/transformer/index';
import { describeWithShared, sharedPath } from '../shared';

const schema = factsSchema as unknown as ProfileSchema;

describe('what can be noted of a message', () => {
  it('are a few words in a row from the first that tells something after "I" or "my"', () => {
    expect(notesOn('Oh, nice. I live in a small town with my parents!')).toEqual(['live in a small town']);
    expect(notesOn("Yes, I'm a nurse at the hospital. My favorite food is pizza.")).toEqual(['nurse at the hospital', 'food is pizza']);
  });

  it('is nothing of questions, of others, and of statements that say nothing', () => {
    expect(notesOn('Where do I live?')).toEqual([]);
    expect(notesOn('Dogs are great. They bark a lot.')).toEqual([]);
    expect(notesOn('I am. Me too!')).toEqual([]);
  });

  it('keeps the spelling, and ends with a word that tells something', () => {
    expect(notesOn('I moved to New York because of the job that I wanted.')).toEqual(['moved to New York because']);
    expect(notesOn('I walk my two dogs a lot.')).toEqual(['walk my two dogs']);
  });
});

describeWithShared('the material for recorded people', 'data/synthetic-persona-chat/valid.csv', () => {
  const material = async () => {
    const csv = sharedPath('data/synthetic-persona-chat/valid.csv');
    const { training } = await findPeople({ people: { csv }, profile: 'facts', seed: 1, users: 150, evalUsers: 2 });
    return training.map(({ messages = [] }) => messages);
  };
  const base = { schema, slot: 'facts', instruction: 'Note.', turns: 6, count: 300, seed: 1 };

  it('invents talk in which the grammar is real and the facts are not', async () => {
    const messages = (await material()).flat();
    const invented = inventTalk({ messages, form: 'sentences', vocabulary: 'all', count: 200, seed: 1 }).flat();
    const real = new Set(messages.flatMap(notesOn));
    const facts = invented.flatMap(notesOn).filter((note) => words(note).length > 1);
    expect(facts.length).toBeGreaterThan(300);
    // two common words may meet by chance
    expect(facts.filter((fact) => real.has(fact)).length / facts.length).toBeLessThan(0.01);
    const vocabulary = new Set(messages.flatMap(words));
    expect(invented.flatMap(words).filter((word) => !vocabulary.has(word))).toEqual([]);
    const share = (texts: readonly string[]) => {
      const all = texts.flatMap(words);
      return all.filter(isTelling).length / all.length;
    };
    expect(Math.abs(share(invented) - share(messages))).toBeLessThan(0.1);
  });

  it('is the same for one seed and another for another', async () => {
    const messages = (await material()).flat();
    const make = (seed: number) => JSON.stringify(inventTalk({ messages, form: 'words', vocabulary: 'common', count: 20, seed }));
    expect(make(3)).toBe(make(3));
    expect(make(3)).not.toBe(make(4));
  });

  it('shows notes that stand in the last two messages or in the notes before', async () => {
    const examples = await takeNotes({ ...base, talks: await material(), shares: [0.25, 0.5, 0.75] });
    expect(examples).toHaveLength(300);
    let notes = 0;
    for (const { messages, targets } of examples) {
      expect(targets).toBe('last');
      const turn = parseTurn(schema, messages.at(-1)!.content);
      if (!turn.ok) throw new Error(turn.problem.message);
      const read = messages.slice(0, -1).map(({ content }) => content);
      for (const { text } of turn.profile.items()) {
        notes++;
        expect(read.some((content) => content.includes(text))).toBe(true);
      }
    }
    expect(notes).toBeGreaterThan(50);
  });

  it('leaves to chance what is noted: a share of what was told, from none to all of it', async () => {
    const talks = await material();
    const noted = async (share: number) => {
      const examples = await takeNotes({ ...base, talks, turns: 1, shares: [share] });
      const told = examples.flatMap(({ messages }) => notesOn(messages.at(-2)!.content));
      const kept = examples.flatMap(({ messages }) => parseTurn(schema, messages.at(-1)!.content).profile!.items());
      return kept.length / told.length;
    };
    expect(await noted(0)).toBe(0);
    expect(await noted(0.5)).toBeGreaterThan(0.35);
    expect(await noted(0.5)).toBeLessThan(0.65);
    expect(await noted(1)).toBeGreaterThan(0.95);
  });

  it('forgets the oldest notes when there are more than eight', async () => {
    const talk = Array.from({ length: 12 }, (_, i) => `I bought thing${i}.`);
    const examples = await takeNotes({ ...base, talks: [talk], turns: 12, count: 12, shares: [1] });
    const last = parseTurn(schema, examples.at(-1)!.messages.at(-1)!.content).profile!.items();
    expect(last.map(({ text }) => text)).toEqual([4, 5, 6, 7, 8, 9, 10, 11].map((i) => `bought thing${i}`));
  });
});

describe('weights that copy', () => {
  const config = parseModelConfig({
    model_type: 'qwen2',
    hidden_act: 'silu',
    hidden_size: 128,
    intermediate_size: 128,
    num_hidden_layers: 2,
    num_attention_heads: 4,
    num_key_value_heads: 4,
    max_position_embeddings: 512,
    vocab_size: 320,
    rms_norm_eps: 1e-6,
    rope_theta: 1e6,
    tie_word_embeddings: true,
  });

  const steps = 140;

  /** Loss on the second half of random words said twice, after some steps on others. */
  const learnt = async (weights: ReturnType<typeof initialWeights>) => {
    const policy = await LocalPolicy.create({ config, tokenizer: tinyTokenizer(schema, ['a'], 320), weights });
    const random = new Random(1);
    // after a pause of any length: where the words stood cannot be told by counting
    const sequence = () => {
      const [said, pause] = [12, random.integer(12)].map((count) => Array.from({ length: count }, () => random.integer(250)));
      const tokens = Int32Array.from([...said!, ...pause!, ...said!]);
      return { tokens, actionMask: Uint8Array.from(tokens, (_, i) => Number(i > tokens.length - said!.length)) };
    };
    const rows = 32;
    const losses: number[] = [];
    try {
      for (let step = 0; step < steps; step++) {
        const { loss } = await policy.accumulateCrossEntropy(Array.from({ length: rows }, sequence), rows * 11);
        losses.push(loss);
        await policy.update({
          learningRate: 4e-3 * Math.min(1, (step + 1) / 20),
          betas: [0.9, 0.95],
          epsilon: 1e-5,
          weightDecay: 0,
          maxGradientNorm: 1,
        });
      }
    } finally {
      await policy.dispose();
    }
    return mean(losses.slice(-5))!;
  };

  it('learn to copy in a fraction of the steps', async () => {
    const plain = await learnt(initialWeights(config, new Random(2)));
    const copying = await learnt(copyingWeights(config, new Random(2)));
    expect(copying).toBeLessThan(plain / 2);
  }, 120_000);
});
