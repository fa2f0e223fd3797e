import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import type { ChatModel, ChatRequest } from '../../src/chat/index';
import { strictSchema } from '../../src/chat/strict-schema';
import {
  embeddingMatcher,
  exactMatcher,
  fuzzyMatcher,
  judgedMatcher,
  matchItems,
  normalizedMatcher,
  normalizeText,
  ProfileSchema,
  profileF1,
  profileItem,
  slot,
} from '../../src/profile/index';
import { Random } from '../../src/random';
import { writeTinyEmbeddingModel } from './tiny-embedding-model';

const item = (text: unknown, name = 'interests') => profileItem(name, text);

describe('normalizeText', () => {
  it.each([
    ['The  Café—Owner!', 'cafe owner'],
    ['twenty-nine years', '29 years'],
    ['twenty nine years', '29 years'],
    ['agent 007 of the zeroth nine', 'agent 7 of zeroth 9'],
    ['Onerous anthem 70', 'onerous anthem 70'],
    ['1,000.0', '1000'],
    ['ＮＵＲＳＥ', 'nurse'],
    ["doesn't", 'doesnt'],
    ['C++', 'c++'],
    ['C#', 'c#'],
    ['-5', '-5'],
    ['1990-1995', '1990 1995'],
    ['हिन्दी', 'हिन्दी'],
    ['!!!', '!!!'],
    ['the', 'the'],
  ])('writes %s as %s', (text, expected) => {
    expect(normalizeText(text)).toBe(expected);
  });

  it('changes nothing the second time', () => {
    const random = new Random(3);
    const pieces = ['The', 'a', 'é', 'twenty', 'one', '-', '1,000', '2.50', '+', '#', "'", ' ', 'ß', 'ﬁ', '日本', '.', '😀'];
    for (let i = 0; i < 2000; i++) {
      const once = normalizeText(Array.from({ length: 1 + random.integer(6) }, () => random.pick(pieces)).join(''));
      expect(normalizeText(once)).toBe(once);
    }
  });
});

describe('matchers', () => {
  it('tell wordings apart as far as their name says', () => {
    const pairs = [
      [item('hiking'), item('hiking')],
      [item('Hiking.'), item('hiking')],
      [item('night nurse'), item('a nurse')],
      [item('tea'), item('jazz')],
    ] as const;
    expect(exactMatcher().similarity(pairs)).toEqual([1, 0, 0, 0]);
    expect(normalizedMatcher().similarity(pairs)).toEqual([1, 1, 0, 0]);
    // 2·1 common token / (2 + 1 tokens)
    expect(fuzzyMatcher().similarity(pairs)).toEqual([1, 1, 2 / 3, 0]);
    expect(() => fuzzyMatcher({ threshold: Number.NaN })).toThrow(/threshold/);
  });

  it('do not take sentences for the same that begin alike and speak of something else', () => {
    const history = item('I like history.');
    const others = ['I like jazz.', "I'm fond of history", 'My favorite subject is history.', 'I do not like history.'].map((text) =>
      item(text),
    );
    // fond + history against history: 2·1 / (2 + 1); favourite is no subject, "subject" is one; a negation is never left out
    expect(fuzzyMatcher().similarity(others.map((other) => [history, other]))).toEqual([0, 2 / 3, 2 / 3, 2 / 3]);
    expect(fuzzyMatcher().similarity([[item('I am who I am.'), item('I am')]])).toEqual([4 / 7]);
  });

  it('count a repeated token as often as it is on both sides', () => {
    // "new new york" and "new york york": common new, york → 2·2 / (3 + 3)
    expect(fuzzyMatcher().similarity([[item('new new york'), item('new york york')]])).toEqual([4 / 6]);
  });
});

describe('matchItems', () => {
  it('pairs one to one', async () => {
    const matches = await matchItems([item('hiking'), item('Hiking')], [item('hiking')], normalizedMatcher());
    expect(matches).toHaveLength(1);
  });

  it('keeps to the slot unless told otherwise', async () => {
    const [inferred, golden] = [[item('nurse', 'job')], [item('nurse', 'occupation')]];
    for (const matcher of [normalizedMatcher(), fuzzyMatcher()]) {
      expect(await matchItems(inferred, golden, matcher)).toHaveLength(0);
      expect(await matchItems(inferred, golden, matcher, { acrossSlots: true })).toHaveLength(1);
    }
  });

  it('makes as many pairs as it can, where taking the best pair first would lose one', async () => {
    // "night nurse" is closest to "night nurse work", but "night work" has no other partner.
    const inferred = [item('night nurse'), item('night work')];
    const golden = [item('night nurse work'), item('nurse')];
    const matches = await matchItems(inferred, golden, fuzzyMatcher());
    expect(matches.map(({ inferred, golden }) => [inferred.text, golden.text])).toEqual([
      ['night nurse', 'nurse'],
      ['night work', 'night nurse work'],
    ]);
  });

  it('finds the best assignment that trying all of them finds', async () => {
    const random = new Random(5);
    const words = ['a1', 'b2', 'c3', 'd4', 'e5'];
    const anyItems = () => Array.from({ length: 1 + random.integer(4) }, () => item(random.sample(words, 1 + random.integer(3)).join(' ')));
    const matcher = fuzzyMatcher({ threshold: 0.4 });
    for (let round = 0; round < 300; round++) {
      const inferred = anyItems();
      const golden = anyItems();
      const matches = await matchItems(inferred, golden, matcher);
      const best = bestByTrying(inferred.length, golden.length, (i, g) => {
        const similarity = matcher.similarity([[inferred[i]!, golden[g]!]])[0]!;
        return similarity >= 0.4 ? similarity : 0;
      });
      expect(matches.length).toBe(best.pairs);
      expect(matches.reduce((sum, { similarity }) => sum + similarity, 0)).toBeCloseTo(best.total, 9);
    }
  });
});

function bestByTrying(
  rows: number,
  columns: number,
  similarity: (row: number, column: number) => number,
  row = 0,
  used = 0,
): { pairs: number; total: number } {
  if (row === rows) return { pairs: 0, total: 0 };
  let best = bestByTrying(rows, columns, similarity, row + 1, used);
  for (let column = 0; column < columns; column++) {
    const value = similarity(row, column);
    if (used & (1 << column) || value === 0) continue;
    const rest = bestByTrying(rows, columns, similarity, row + 1, used | (1 << column));
    const pairs = rest.pairs + 1;
    const total = rest.total + value;
    if (pairs > best.pairs || (pairs === best.pairs && total > best.total)) best = { pairs, total };
  }
  return best;
}

describe('profileF1', () => {
  const schema = ProfileSchema.standard;
  const golden = schema.profile({ age: 29, occupation: 'nurse', interests: ['hiking'] });

  it('is 1 for a perfect profile of three items', async () => {
    expect(await profileF1(schema.profile({ age: 29, occupation: 'Nurse', interests: ['hiking'] }), golden)).toMatchObject({
      precision: 1,
      recall: 1,
      f1: 1,
      missed: [],
      extra: [],
    });
  });

  it('follows the formulas of the paper', async () => {
    // P̂ = {nurse, hiking, jazz, Leeds}, P = {29, nurse, hiking}: 2 in common
    const score = await profileF1(schema.profile({ occupation: 'nurse', interests: ['hiking', 'jazz'], location: 'Leeds' }), golden);
    expect(score.precision).toBe(2 / 4);
    expect(score.recall).toBe(2 / 3);
    expect(score.f1).toBe((2 * 2) / (4 + 3));
    expect(score.missed.map(({ text }) => text)).toEqual(['29']);
    expect(score.extra.map(({ text }) => text)).toEqual(['jazz', 'Leeds']);
  });

  it('gives ten facts on one line no more than the facts that are right', async () => {
    const stuffed = schema.profile({ interests: Array.from({ length: 10 }, (_, i) => `hiking${' '.repeat(i)}!`.concat('!'.repeat(i))) });
    expect(stuffed.size).toBe(1);
    const crowd = Array.from({ length: 10 }, () => item('hiking'));
    // one of ten inferred items is paired: 2·1 / (10 + 3)
    expect((await profileF1(crowd, golden)).f1).toBe(2 / 13);
    expect((await profileF1([item('hiking nurse 29 jazz tea chess go running yoga cooking')], golden)).f1).toBe(0);
  });

  it('is 1 when there is nothing to know and nothing was inferred, and 0 when only one is empty', async () => {
    expect(await profileF1(schema.empty(), schema.empty())).toMatchObject({ precision: 1, recall: 1, f1: 1 });
    expect(await profileF1(schema.empty(), golden)).toMatchObject({ precision: 0, recall: 0, f1: 0 });
    expect((await profileF1(golden, schema.empty())).f1).toBe(0);
  });

  it("compares each slot as the golden profile's schema says", async () => {
    const mixed = ProfileSchema.define({
      city: slot.one(z.string(), { matching: 'exact' }),
      job: slot.one(z.string(), { matching: 'fuzzy' }),
      trait: slot.one(z.string()),
    });
    const truth = mixed.profile({ city: 'Leeds', job: 'night nurse', trait: 'Kind' });
    const guess = mixed.profile({ city: 'leeds', job: 'nurse', trait: 'kind' });
    expect((await profileF1(guess, truth)).matches.map(({ golden }) => golden.slot)).toEqual(['job', 'trait']);
    expect((await profileF1(guess, truth, { matcher: normalizedMatcher() })).matches.map(({ golden }) => golden.slot)).toEqual([
      'city',
      'trait',
    ]);
  });

  it('stays in [0, 1] for any two lists of items', async () => {
    const random = new Random(9);
    const anyItems = () =>
      Array.from({ length: random.integer(6) }, () => item(random.pick(['a', 'b c', 'c b', 'B', 'c']), random.pick(['x', 'y'])));
    for (let i = 0; i < 1000; i++) {
      for (const matcher of [normalizedMatcher(), fuzzyMatcher()]) {
        const { f1, precision, recall } = await profileF1(anyItems(), anyItems(), { matcher });
        for (const ratio of [f1, precision, recall]) expect(ratio >= 0 && ratio <= 1).toBe(true);
      }
    }
  });
});

describe('embeddingMatcher', () => {
  const vectors: Record<string, number[]> = { nurse: [3, 4], 'hospital worker': [4, 3], pilot: [-3, -4], odd: [1] };

  it('compares by cosine, and embeds each text once', async () => {
    const asked: string[] = [];
    const matcher = embeddingMatcher({
      threshold: 0.9,
      model: async (texts) => {
        asked.push(...texts);
        return texts.map((text) => vectors[text]!);
      },
    });
    // (3·4 + 4·3) / (5·5) = .96; opposite vectors count as 0
    const similarities = await matcher.similarity([
      [item('nurse'), item('hospital worker')],
      [item('nurse'), item('pilot')],
    ]);
    expect(similarities[0]).toBeCloseTo(0.96, 12);
    expect(similarities[1]).toBe(0);
    await matcher.similarity([[item('pilot'), item('nurse')]]);
    expect(asked).toEqual(['nurse', 'hospital worker', 'pilot']);
  });

  it('refuses vectors that do not fit, and stops waiting when told', async () => {
    const odd = embeddingMatcher({ model: async (texts) => texts.map((text) => vectors[text]!) });
    await expect(async () => odd.similarity([[item('nurse'), item('odd')]])).rejects.toMatchObject({ code: 'model-failed' });
    const broken = embeddingMatcher({ model: () => Promise.reject(new Error('out of memory')) });
    await expect(async () => broken.similarity([[item('a'), item('b')]])).rejects.toMatchObject({ code: 'model-failed' });
    const hanging = embeddingMatcher({ model: () => new Promise(() => {}) });
    const controller = new AbortController();
    const waiting = hanging.similarity([[item('a'), item('b')]], controller.signal);
    controller.abort();
    await expect(waiting).rejects.toMatchObject({ code: 'aborted' });
  });

  it('runs a feature-extraction model from a local folder', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'rlpa-embedding-'));
    try {
      writeTinyEmbeddingModel(folder, { night: [1, 0], nurse: [0, 1], pilot: [-1, -1] });
      const similarities = await embeddingMatcher({ model: folder }).similarity([
        [item('night nurse'), item('nurse')],
        [item('nurse'), item('pilot')],
      ]);
      // mean of [1, 0] and [0, 1] is [.5, .5]; its cosine with [0, 1] is 1/√2, whatever the padding of the batch
      expect(similarities[0]).toBeCloseTo(Math.SQRT1_2, 6);
      expect(similarities[1]).toBe(0);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('says which model could not be loaded', async () => {
    const matcher = embeddingMatcher({ model: './no/such/folder' });
    await expect(async () => matcher.similarity([[item('a'), item('b')]])).rejects.toMatchObject({ code: 'invalid-model' });
  });
});

describe('judgedMatcher', () => {
  function answering(text: string, structuredOutput = false) {
    const requests: ChatRequest[] = [];
    const model: ChatModel = {
      name: 'scripted',
      structuredOutput,
      async generate(request) {
        requests.push(request);
        return { text, usage: { inputTokens: 1, outputTokens: 1 }, finishReason: 'stop' };
      },
      stream: () => {
        throw new Error('not used');
      },
    };
    return { model, requests };
  }
  const pairs = [
    [item('Nurse'), item('nurse')],
    [item('works on a ward'), item('nurse')],
    [item('pilot'), item('nurse')],
  ] as const;

  it('asks once, and only for what the texts leave open', async () => {
    const { model, requests } = answering('Sure: {"same": [0]}');
    expect(await judgedMatcher({ model }).similarity(pairs)).toEqual([1, 1, 0]);
    expect(requests).toHaveLength(1);
    expect(JSON.parse(requests[0]!.messages[1]!.content)).toEqual([
      { id: 0, about: 'interests', a: 'works on a ward', b: 'nurse' },
      { id: 1, about: 'interests', a: 'pilot', b: 'nurse' },
    ]);
    await judgedMatcher({ model }).similarity(pairs.slice(0, 1));
    expect(requests).toHaveLength(1);
  });

  it('asks for JSON by a schema where the model can', async () => {
    const { model, requests } = answering('{"same": []}', true);
    await judgedMatcher({ model }).similarity(pairs);
    const { schema } = requests[0]!.jsonSchema!;
    expect(schema).toMatchObject({ required: ['same'] });
    expect(strictSchema(schema)).toEqual(schema);
  });

  it.each([0, -1, Number.NaN, '5'])('refuses %j as a deadline, before anybody is asked', (timeoutMs) => {
    const refused = {
      code: 'invalid-option',
      message: expect.stringContaining("judgedMatcher, option 'timeoutMs': expected a number above 0"),
    };
    expect(() => judgedMatcher({ model: answering('').model, timeoutMs: timeoutMs as number })).toThrow(expect.objectContaining(refused));
  });

  it.each(['I think so.', '{"same": "all"}', '{"same": [7]}', '{"same": [-1]}', ''])('takes no verdict from %j', async (text) => {
    const { model } = answering(text);
    await expect(async () => judgedMatcher({ model }).similarity(pairs)).rejects.toMatchObject({ code: 'model-failed' });
  });
});
