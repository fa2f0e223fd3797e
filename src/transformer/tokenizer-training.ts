import { checkKnown, invalidOption, RlpaError } from '../errors';
import { byteCharacters } from './byte-level';
import { chatML } from './chat-ml';
import { Heap } from './heap';

/**
 * Qwen2's pre-tokenisation, as its tokenizer.json has it, for the tokenizers that read ours. Merges never cross these pieces.
 * https://huggingface.co/Qwen/Qwen2.5-0.5B/blob/main/tokenizer.json
 */
const piecePattern =
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

/** The same for JavaScript, which has no inline flags everywhere and counts U+FEFF as a space and U+0085 not. */
const pieces = new RegExp(
  piecePattern
    .replace('(?i:', '(?:')
    .replace(/'[a-z]+/g, (suffix) => suffix.replace(/[a-z]/g, (letter) => `[${letter}${letter.toUpperCase()}]`))
    .replaceAll('\\s', '\\p{White_Space}')
    .replaceAll('\\S', '\\P{White_Space}'),
  'gu',
);

/** The special tokens that ChatML needs, which every trained tokenizer has. */
const chatTokens = ['<|endoftext|>', '<|im_start|>', '<|im_end|>'] as const;

export interface TrainTokenizerOptions {
  readonly texts: Iterable<string>;
  /**
   * Tokens in all: 256 bytes, merges, then `<|endoftext|>`, `<|im_start|>`, `<|im_end|>`, `specialTokens` and `addedTokens`. Fewer come out
   * when the texts run out of pairs that occur twice.
   */
  readonly vocabularySize: number;
  /** More special tokens than ChatML's three. */
  readonly specialTokens?: readonly string[] | undefined;
  /** Texts that are to be one token each but stay in decoded text, such as `<profile>`. */
  readonly addedTokens?: readonly string[] | undefined;
}

/** The two files that make a tokenizer, parsed. */
export interface TokenizerFiles {
  readonly tokenizer: Record<string, unknown>;
  readonly tokenizerConfig: Record<string, unknown>;
}

/**
 * Trains a byte-level BPE tokenizer (Sennrich et al. 2016, over bytes as in GPT-2) with Qwen2's pre-tokenisation and a ChatML template.
 * Any text round-trips exactly. The same texts give the same files.
 *
 * @returns tokenizer.json and tokenizer_config.json, which {@link Tokenizer} and Hugging Face read
 * @throws RlpaError `invalid-option` when the vocabulary has no room for the bytes and the added tokens
 * @example
 * import { Tokenizer, trainTokenizer } from 'rlpa';
 * const texts = ['Night shift again, the ward was full.', 'The night shift again?'];
 * const { tokenizer, tokenizerConfig } = trainTokenizer({ texts, vocabularySize: 300, addedTokens: ['<profile>', '</profile>'] });
 * const words = Tokenizer.fromJSON(tokenizer, tokenizerConfig);
 */
export function trainTokenizer(options: TrainTokenizerOptions): TokenizerFiles {
  checkKnown('trainTokenizer', options, { texts: true, vocabularySize: true, specialTokens: true, addedTokens: true });
  const special = [...new Set([...chatTokens, ...(options.specialTokens ?? [])])];
  const plain = [...new Set(options.addedTokens ?? [])].filter((token) => !special.includes(token));
  const added = [...special, ...plain];
  if (added.includes('')) throw new RlpaError('invalid-option', 'specialTokens, addedTokens: expected texts, found an empty one.');
  const fewest = 256 + added.length;
  if (!Number.isInteger(options.vocabularySize) || options.vocabularySize < fewest)
    throw invalidOption('trainTokenizer', 'vocabularySize', `a whole number of at least ${fewest}`, options.vocabularySize);

  const merges = learnMerges(countPieces(options.texts, added), options.vocabularySize - fewest);
  const vocabulary: string[] = [...byteCharacters];
  for (const [left, right] of merges) vocabulary.push(vocabulary[left]! + vocabulary[right]!);
  const addedEntries = added.map((content, i) => ({
    id: vocabulary.length + i,
    content,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
    special: i < special.length,
  }));
  const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: false, use_regex: false };
  return {
    tokenizer: {
      version: '1.0',
      truncation: null,
      padding: null,
      added_tokens: addedEntries,
      normalizer: null,
      pre_tokenizer: {
        type: 'Sequence',
        pretokenizers: [{ type: 'Split', pattern: { Regex: piecePattern }, behavior: 'Isolated', invert: false }, byteLevel],
      },
      post_processor: byteLevel,
      decoder: byteLevel,
      model: {
        type: 'BPE',
        dropout: null,
        unk_token: null,
        continuing_subword_prefix: '',
        end_of_word_suffix: '',
        fuse_unk: false,
        byte_fallback: false,
        ignore_merges: false,
        vocab: Object.fromEntries(vocabulary.map((token, id) => [token, id])),
        merges: merges.map(([left, right]) => `${vocabulary[left]} ${vocabulary[right]}`),
      },
    },
    tokenizerConfig: {
      tokenizer_class: 'PreTrainedTokenizerFast',
      added_tokens_decoder: Object.fromEntries(addedEntries.map(({ id, ...token }) => [id, token])),
      additional_special_tokens: special.slice(1),
      bos_token: null,
      eos_token: '<|im_end|>',
      pad_token: '<|endoftext|>',
      unk_token: null,
      clean_up_tokenization_spaces: false,
      chat_template: chatML,
    },
  };
}

/** How often each piece of the texts occurs; added tokens are cut out, since no merge applies inside them. */
function countPieces(texts: Iterable<string>, added: readonly string[]): Map<string, number> {
  const longestFirst = [...added].sort((a, b) => b.length - a.length);
  const cuts = new RegExp(longestFirst.map((token) => token.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&')).join('|'));
  const counts = new Map<string, number>();
  for (const text of texts) {
    for (const section of text.split(cuts)) {
      for (const [piece] of section.matchAll(pieces)) counts.set(piece, (counts.get(piece) ?? 0) + 1);
    }
  }
  return counts;
}

/** Pairs of token ids as one number: ids stay far below 2^26, so the product is exact. */
const pairBase = 2 ** 26;

interface CountedPair {
  readonly count: number;
  readonly pair: number;
}

/**
 * Merges the most frequent pair again and again; among equals the one with the smaller ids, so that the result is determined. Counts are
 * kept up to date word by word: a merge looks only at the words that hold its pair.
 */
function learnMerges(counts: ReadonlyMap<string, number>, most: number): [number, number][] {
  const encoder = new TextEncoder();
  const words = [...counts].map(([piece, count]) => ({ symbols: [...encoder.encode(piece)], count }));
  const pairCounts = new Map<number, number>();
  const wordsWith = new Map<number, Set<number>>();
  const heap = new Heap<CountedPair>((a, b) => a.count > b.count || (a.count === b.count && a.pair < b.pair));

  const add = (pair: number, change: number, word: number) => {
    pairCounts.set(pair, (pairCounts.get(pair) ?? 0) + change);
    if (change < 0) return;
    const holders = wordsWith.get(pair);
    if (holders === undefined) wordsWith.set(pair, new Set([word]));
    else holders.add(word);
  };
  for (const [index, { symbols, count }] of words.entries()) {
    for (let i = 1; i < symbols.length; i++) add(symbols[i - 1]! * pairBase + symbols[i]!, count, index);
  }
  for (const [pair, count] of pairCounts) heap.push({ count, pair });

  const merges: [number, number][] = [];
  while (merges.length < most) {
    const top = heap.pop();
    if (top === undefined || top.count < 2) break;
    const count = pairCounts.get(top.pair) ?? 0;
    if (count !== top.count) {
      // The count has changed since it was queued: queue it anew where it belongs.
      if (count > 0) heap.push({ count, pair: top.pair });
      continue;
    }
    const left = Math.floor(top.pair / pairBase);
    const right = top.pair % pairBase;
    const merged = 256 + merges.length;
    merges.push([left, right]);
    const grown = new Set<number>();
    for (const index of wordsWith.get(top.pair) ?? []) {
      const word = words[index]!;
      const before = word.symbols;
      const after = mergePair(before, left, right, merged);
      if (after.length === before.length) continue;
      for (let i = 1; i < before.length; i++) add(before[i - 1]! * pairBase + before[i]!, -word.count, index);
      for (let i = 1; i < after.length; i++) {
        const pair = after[i - 1]! * pairBase + after[i]!;
        add(pair, word.count, index);
        if (after[i - 1] === merged || after[i] === merged) grown.add(pair);
      }
      word.symbols = after;
    }
    pairCounts.delete(top.pair);
    wordsWith.delete(top.pair);
    for (const pair of grown) heap.push({ count: pairCounts.get(pair)!, pair });
  }
  return merges;
}

function mergePair(symbols: readonly number[], left: number, right: number, merged: number): number[] {
  const out: number[] = [];
  for (let i = 0; i < symbols.length; i++) {
    if (symbols[i] === left && symbols[i + 1] === right) {
      out.push(merged);
      i++;
    } else {
      out.push(symbols[i]!);
    }
  }
  return out;
}
