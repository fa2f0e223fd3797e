import { describe, expect, it } from 'vitest';
import { Random } from '../../src/random';
import { Tokenizer, trainTokenizer } from '../../src/transformer/index';

const sentences = [
  'The nurse works at the hospital and likes hiking in the mountains.',
  'She likes jazz, hiking and the hospital garden.',
  "I don't know what the nurse likes, but I'll ask her.",
  'Hiking in the mountains is what she likes the most!',
];
const corpus = Array.from({ length: 40 }, (_, i) => sentences[i % sentences.length]!);
const tags = ['<profile>', '</profile>', '<response>', '</response>'];
const files = trainTokenizer({ texts: corpus, vocabularySize: 320, addedTokens: tags });
const tokenizer = Tokenizer.fromJSON(files.tokenizer, files.tokenizerConfig);

describe('a trained tokenizer', () => {
  it('is the same for the same texts', () => {
    expect(JSON.stringify(trainTokenizer({ texts: corpus, vocabularySize: 320, addedTokens: tags }))).toBe(JSON.stringify(files));
  });

  it('merges the most frequent pair first and, among equals, the one with the smaller bytes', () => {
    // "ab" occurs 3 times; then "abc" and "xy" twice each: "ab"+"c" has the pair (256, 99), "x"+"y" the smaller (120, 121).
    const { tokenizer: json } = trainTokenizer({ texts: ['abc', 'abc', 'ab', 'xy', 'xy'], vocabularySize: 300 });
    expect((json.model as { merges: string[] }).merges).toEqual(['a b', 'x y', 'ab c']);
  });

  it('counts overlapping repeats as they merge', () => {
    // "aaaa" twice: (a, a) becomes "aa aa", and then that pair merges.
    const { tokenizer: json } = trainTokenizer({ texts: ['aaaa', 'aaaa'], vocabularySize: 300 });
    expect((json.model as { merges: string[] }).merges).toEqual(['a a', 'aa aa']);
  });

  it('writes common words as single tokens', () => {
    for (const word of [' nurse', ' likes', ' the', ' in']) expect(tokenizer.encode(word)).toHaveLength(1);
    expect(tokenizer.encode(' xylophone').length).toBeGreaterThan(4);
  });

  it('never merges over the end of a word, and keeps digits apart', () => {
    const texts = Array.from({ length: 50 }, () => 'to be 1990 to be 1990');
    const { tokenizer: json } = trainTokenizer({ texts, vocabularySize: 300 });
    const vocabulary = Object.keys((json.model as { vocab: object }).vocab);
    expect(vocabulary).toContain('Ġbe');
    expect(vocabulary.filter((token) => /.Ġ|\d\d/.test(token))).toEqual([]);
  });

  it('has the ids of bytes, merges, ChatML and added tokens, in this order, and as many as asked for', () => {
    expect(tokenizer.size).toBe(320);
    expect([...tokenizer.encode('A')]).toEqual([65]);
    expect(tokenizer.tokenId('<|endoftext|>')).toBe(313);
    expect(tokenizer.tokenId('<profile>')).toBe(316);
    expect(tokenizer.eosId).toBe(tokenizer.tokenId('<|im_end|>'));
    expect(tokenizer.padId).toBe(tokenizer.tokenId('<|endoftext|>'));
  });

  it('has the tags as single tokens that stay in the text', () => {
    const text = '<profile>\n- Occupation: nurse\n</profile>\n\n<response>\nHi</response>';
    const ids = tokenizer.encode(text);
    for (const tag of tags) expect([...ids].filter((id) => id === tokenizer.tokenId(tag))).toHaveLength(1);
    expect(tokenizer.decode(ids, { skipSpecial: true })).toBe(text);
  });

  it('learns nothing from inside added tokens', () => {
    const { tokenizer: json } = trainTokenizer({
      texts: Array.from({ length: 9 }, () => '<profile>'),
      vocabularySize: 300,
      addedTokens: tags,
    });
    expect((json.model as { merges: string[] }).merges).toEqual([]);
  });

  it('ends with fewer tokens when the texts have no more pairs that repeat', () => {
    const small = trainTokenizer({ texts: ['abab'], vocabularySize: 5000 });
    // 256 bytes, "ab" (twice), and the three of ChatML; "abab" occurs once only.
    expect(Tokenizer.fromJSON(small.tokenizer, small.tokenizerConfig).size).toBe(256 + 1 + 3);
  });

  it('gives back any text exactly', () => {
    const dice = new Random(11);
    const ranges = [
      [0, 0x7f],
      [0x80, 0x7ff],
      [0x800, 0xd7ff],
      [0xe000, 0xffff],
      [0x1f300, 0x1faff],
      [0x10000, 0x10ffff],
    ] as const;
    for (let round = 0; round < 300; round++) {
      let text = '';
      for (let length = dice.integer(30); length > 0; length--) {
        const [low, high] = dice.pick(ranges);
        text += String.fromCodePoint(low + dice.integer(high - low + 1));
        if (dice.chance(0.2)) text += dice.pick([' ', '\n', '\r\n', '  ', " I'll", '\u0085', '\ufeff', '</profile>', ' nurse']);
      }
      expect(tokenizer.decode(tokenizer.encode(text))).toBe(text);
    }
    for (const text of ['', ' ', '\n\n', 'e\u0301', '\ufeffx', 'a  b', 'Ġ', 'ĠĊ', 'a . b , c'])
      expect(tokenizer.decode(tokenizer.encode(text))).toBe(text);
  });

  it.each([100, 262, 263.5, Number.NaN])('has no room in a vocabulary of %s', (vocabularySize) => {
    expect(() => trainTokenizer({ texts: corpus, vocabularySize, addedTokens: tags })).toThrow(/at least 263/);
  });
});
