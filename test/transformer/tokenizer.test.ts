import { readFileSync } from 'node:fs';
import { Tokenizer as HuggingFaceTokenizer } from '@huggingface/tokenizers';
import { describe, expect, it } from 'vitest';
import { RlpaError } from '../../src/errors';
import { Random } from '../../src/random';
import { Tokenizer } from '../../src/transformer/index';
import { describeWithShared, sharedPath } from '../shared';

function files(folder: string): [tokenizer: Record<string, unknown>, config: Record<string, unknown>] {
  const json = (file: string) => JSON.parse(readFileSync(sharedPath(`${folder}/${file}`), 'utf8'));
  return [json('tokenizer.json'), json('tokenizer_config.json')];
}

function load(folder: string): Tokenizer {
  return Tokenizer.fromJSON(...files(folder));
}

/** Texts of random characters of four ranges, with spaces between. */
function randomTexts(count: number, dice = new Random(11)): string[] {
  return Array.from({ length: count }, () => {
    const highest = [0x7f, 0x250, 0x3000, 0x20000][dice.integer(4)]!;
    const character = () => {
      const code = dice.integer(highest);
      return code >= 0xd800 && code < 0xe000 ? 'e' : String.fromCodePoint(code);
    };
    return Array.from({ length: 1 + dice.integer(40) }, () => (dice.uniform() < 0.3 ? ' ' : character())).join('');
  });
}

const texts = [
  'Hello, world!',
  '  leading and   inner  spaces ',
  'tabs\tand\n\nnewlines\r\n  x\n',
  "I'll say: IT'S we'RE don't",
  'naïve café — “quotes” … ½ ²',
  '日本語のテキストと中文，한국어',
  '🙂👩‍👩‍👧‍👦🇩🇪 emoji',
  'עברית العربية हिन्दी ไทย',
  'x\u00a0y\u2003z\u3000w\u0085v',
  '12345 67,890.12',
  'control \u0001\u007f',
  '𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𐍈',
  'def f(x):\n    return x**2  # comment , with . spaces\n',
];

describeWithShared("Qwen2.5's tokenizer", 'tokenizers/qwen2.5', () => {
  const tokenizer = load('tokenizers/qwen2.5');

  it.each([
    // Ids from Hugging Face's own implementation (the Python package tokenizers 0.23.2).
    ['Once upon a time', [12522, 5193, 264, 882]],
    ["I'll say: IT'S we'RE don't", [40, 3278, 1977, 25, 8700, 13272, 582, 94153, 1513, 944]],
    ['日本語のテキストと中文，한국어', [101059, 102819, 15767, 56833, 61803, 70534, 19182, 104811, 3837, 23573, 124785, 31079]],
    ['🙂👩‍👩‍👧‍👦🇩🇪 emoji', [145080, 145233, 378, 235, 145233, 378, 235, 145665, 378, 235, 145988, 145862, 145336, 42365]],
    ['x\u00a0y\u2003z\u3000w\u0085v\ufeffu', [87, 4102, 88, 378, 225, 89, 22441, 86, 126, 227, 85, 3225, 84]],
    ['<|im_start|>user\nHi<|im_end|>\n', [151644, 872, 198, 13048, 151645, 198]],
  ])('writes %j as Hugging Face does', (text, ids) => {
    expect([...tokenizer.encode(text)]).toEqual(ids);
  });

  it.each(texts)('gives %j back', (text) => {
    expect(tokenizer.decode(tokenizer.encode(text))).toBe(text);
  });

  it('knows its size and its special tokens', () => {
    expect(tokenizer.size).toBe(151665);
    expect(tokenizer.tokenId('<|im_start|>')).toBe(151644);
    expect(tokenizer.eosId).toBe(151645);
    expect(tokenizer.padId).toBe(151643);
    expect(tokenizer.bosId).toBeUndefined();
    expect(tokenizer.tokenId('no such token')).toBeUndefined();
  });

  it('leaves special tokens out of the text only when asked to', () => {
    const ids = tokenizer.encode('<|im_start|>Hi<tool_call><|im_end|>');
    expect(tokenizer.decode(ids)).toBe('<|im_start|>Hi<tool_call><|im_end|>');
    expect(tokenizer.decode(ids, { skipSpecial: true })).toBe('Hi<tool_call>');
  });

  it('streams whole characters: an emoji of several tokens comes out at its last one', () => {
    const ids = tokenizer.encode('a🜚b');
    expect(ids.length).toBeGreaterThan(3);
    const stream = tokenizer.stream();
    const parts = [...ids].map((id) => stream.push(id));
    expect(parts.join('')).toBe('a🜚b');
    expect(parts.some((part) => part.includes('\ufffd'))).toBe(false);
    expect(parts.filter((part) => part !== '')).toEqual(['a', '🜚', 'b']);
  });

  it('marks a character that never came to its end', () => {
    const ids = tokenizer.encode('a🜚');
    const stream = tokenizer.stream();
    expect(stream.push(ids[0]!) + stream.push(ids[1]!)).toBe('a');
    expect(stream.end()).toBe('\ufffd');
  });

  it('makes nothing of ids that no token has, which a padded embedding can produce', () => {
    expect(tokenizer.decode([tokenizer.encode('a')[0]!, 151935])).toBe('a');
  });

  it('streams what decode gives, for random ids', () => {
    const dice = new Random(5);
    for (let round = 0; round < 50; round++) {
      const ids = Array.from({ length: 20 }, () => dice.integer(tokenizer.size));
      const stream = tokenizer.stream({ skipSpecial: true });
      expect(ids.map((id) => stream.push(id)).join('') + stream.end()).toBe(tokenizer.decode(ids, { skipSpecial: true }));
    }
  });
});

describeWithShared("stories260k's SentencePiece tokenizer", 'models/stories260k', () => {
  const tokenizer = load('models/stories260k');

  it('begins a text with <s> = 1 when asked to, and writes it as Hugging Face does', () => {
    expect([...tokenizer.encode('Once upon a time', { addSpecial: true })]).toEqual([1, 403, 407, 261, 378]);
    expect(tokenizer.bosId).toBe(1);
    expect(tokenizer.eosId).toBe(2);
    expect(tokenizer.size).toBe(512);
  });

  it('writes what it has no token for as bytes', () => {
    expect([...tokenizer.encode('日本語')]).toEqual([410, 233, 154, 168, 233, 159, 175, 235, 173, 161]);
  });

  it.each(texts)('gives %j back', (text) => {
    expect(tokenizer.decode(tokenizer.encode(text))).toBe(text);
  });

  it('streams a character that is written as bytes in one piece', () => {
    const stream = tokenizer.stream();
    expect([...tokenizer.encode('a日')].map((id) => stream.push(id))).toEqual(['a', '', '', '日']);
  });
});

describe("byte-pair encoding as in @huggingface/tokenizers' own", () => {
  const frame = { added_tokens: [], normalizer: null, pre_tokenizer: null, post_processor: null, decoder: { type: 'ByteLevel' } };

  function bothWays(json: Record<string, unknown>, texts: readonly string[], config: Record<string, unknown> = {}): void {
    const [ours, theirs] = [Tokenizer.fromJSON(json, config), new HuggingFaceTokenizer(json, config)];
    for (const text of texts) expect([...ours.encode(text)], text).toEqual(theirs.encode(text, { add_special_tokens: false }).ids);
  }

  describeWithShared('of published tokenizers', 'tokenizers/qwen2.5', () => {
    it.each(['tokenizers/qwen2.5', 'models/stories260k'])('%s', (folder) => {
      const [json, config] = files(folder);
      bothWays(json, [...texts, texts.join(' ').repeat(5), ...randomTexts(300)], config);
    });
  });

  it('of random merges, of which many are possible at once, ties among them', () => {
    const dice = new Random(3);
    for (let round = 0; round < 30; round++) {
      const tokens = ['a', 'b', 'c'];
      const merges: string[] = [];
      while (merges.length < 40) {
        const [left, right] = [tokens[dice.integer(tokens.length)]!, tokens[dice.integer(tokens.length)]!];
        if (left.length + right.length > 6 || merges.includes(`${left} ${right}`)) continue;
        merges.push(`${left} ${right}`);
        if (!tokens.includes(left + right)) tokens.push(left + right);
      }
      const vocab = Object.fromEntries(tokens.map((token, id) => [token, id]));
      const words = Array.from({ length: 30 }, () => Array.from({ length: dice.integer(60) }, () => 'abc'[dice.integer(3)]).join(''));
      bothWays({ ...frame, model: { type: 'BPE', vocab, merges } }, words);
    }
  });

  it.each([
    ['nothing', {}],
    ['a token', { unk_token: '?' }],
    ['one token for several', { unk_token: '?', fuse_unk: true }],
    ['bytes', { unk_token: '?', byte_fallback: true }],
  ])('of characters that no token has, for which stands %s', (_, settings) => {
    const vocab = { '?': 0, a: 1, b: 2, ab: 3, '<0xC3>': 4, '<0xA9>': 5 };
    bothWays({ ...frame, model: { type: 'BPE', ...settings, vocab, merges: ['a b'] } }, ['aébab', 'ééa', 'a🙂🙂b', 'é', 'xyzab']);
  });

  it('of pieces that are tokens although no merges lead there, where merges are to be ignored', () => {
    const model = { type: 'BPE', vocab: { a: 0, b: 1, c: 2, ab: 3, abc: 4, bc: 5 }, merges: [['b', 'c']] };
    bothWays({ ...frame, model: { ...model, ignore_merges: true } }, ['abc', 'ab', 'abca']);
    bothWays({ ...frame, model }, ['abc', 'ab', 'abca']);
  });
});

describe('a tokenizer file', () => {
  const good = {
    added_tokens: [],
    normalizer: null,
    pre_tokenizer: null,
    post_processor: null,
    decoder: { type: 'ByteLevel' },
    model: { type: 'BPE', vocab: { a: 0, b: 1 }, merges: [] },
  };

  it.each([
    ['is not an object', [], /expected a JSON object/],
    ['has another kind of model', { ...good, model: { ...good.model, type: 'WordPiece' } }, /model\.type/],
    ['has no merges', { ...good, model: { type: 'BPE', vocab: {} } }, /model\.merges/],
    ['has an id that is no id', { ...good, model: { ...good.model, vocab: { a: -1 } } }, /model\.vocab\['a'\]/],
    ['has an id beyond all vocabularies', { ...good, model: { ...good.model, vocab: { a: 2 ** 31 } } }, /from 0 to/],
    ['has no tokens', { ...good, model: { ...good.model, vocab: {} } }, /at least one token/],
    ['has an added token without an id', { ...good, added_tokens: [{ content: 'x' }] }, /added_tokens/],
    ['has a merge of no token', { ...good, model: { ...good.model, merges: ['a c'] } }, /model\.merges\[0\].*found "a c"/],
    ['has a merge into no token', { ...good, model: { ...good.model, merges: [['a', 'b']] } }, /model\.merges\[0\]/],
    ['has a merge that is none', { ...good, model: { ...good.model, merges: [null] } }, /found null/],
    ['marks the ends of words', { ...good, model: { ...good.model, end_of_word_suffix: '</w>' } }, /end_of_word_suffix.*not implemented/],
    ['has a decoder of another kind', { ...good, decoder: { type: 'WordPiece' } }, /decoder/],
  ])('that %s is refused', (_, json, message) => {
    let found: unknown;
    try {
      Tokenizer.fromJSON(json);
    } catch (error) {
      found = error;
    }
    expect(RlpaError.isInstance(found) && found.code).toBe('invalid-model');
    expect((found as Error).message).toMatch(message);
  });
  describeWithShared('is given back as it was read', 'tokenizers/qwen2.5', () => {
    it.each(['tokenizers/qwen2.5', 'models/stories260k'])('%s', (folder) => {
      const [json, config] = files(folder);
      expect(JSON.stringify(Tokenizer.fromJSON(json, config).json)).toBe(JSON.stringify(json));
    });

    it('with merges as pairs, and one of them named twice', () => {
      const model = {
        type: 'BPE',
        vocab: { a: 0, ab: 7, b: 3, ' ': 4, 'a ': 5 },
        merges: [
          ['a', 'b'],
          ['a', ' '],
          ['a', 'b'],
        ],
      };
      expect(Tokenizer.fromJSON({ ...good, model }).json).toEqual({ ...good, model });
    });
  });
});
