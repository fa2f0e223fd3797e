import { Model } from '@huggingface/tokenizers';
import { RlpaError } from '../errors';
import { remember } from '../remember';
import { Heap } from './heap';
import { type Merge, Merges, noMerge } from './merges';
import { noToken, Vocabulary } from './vocabulary';

/** `model` of a tokenizer.json, as far as it is read here. */
export interface BytePairConfig {
  readonly vocab: Readonly<Record<string, number>>;
  readonly merges: readonly (string | readonly string[])[];
  readonly unk_token?: string | null;
  readonly byte_fallback?: boolean;
  readonly ignore_merges?: boolean;
  readonly fuse_unk?: boolean;
}

/**
 * Byte-pair encoding (Sennrich et al. 2016) for `@huggingface/tokenizers`, in place of its own, which keeps each token and each merge as a
 * text or two: of two adjacent tokens, the pair that was learnt first is merged first, the leftmost of several.
 */
export class BytePairEncoding extends Model {
  readonly vocabulary: Vocabulary;
  readonly #merges: Merges;
  /** Whether the file has its merges as pairs, and not as texts with a space. */
  readonly #writesPairs: boolean;
  /** The tokens of pieces that have been met, which most pieces of a text are. */
  readonly #tokensOf = remember((piece) => this.#encodePiece(piece));
  readonly #settings: Omit<BytePairConfig, 'vocab' | 'merges'>;

  /** @throws RlpaError `invalid-model` for a merge that is none of the vocabulary's */
  constructor({ vocab, merges, ...settings }: BytePairConfig) {
    super({ type: 'BPE', vocab: {}, merges: [], ignore_merges: false, fuse_unk: settings.fuse_unk ?? false });
    this.vocabulary = new Vocabulary(vocab);
    this.#merges = new Merges(merges.map((merge, rank) => readMerge(this.vocabulary, merge, rank)));
    this.#writesPairs = Array.isArray(merges[0]);
    this.#settings = settings;
    this.tokens_to_ids = new PackedMap(this.vocabulary);
    if (typeof settings.unk_token === 'string') {
      this.unk_token = settings.unk_token;
      this.unk_token_id = this.tokens_to_ids.get(settings.unk_token);
    }
  }

  /** `model` as it was read. */
  toConfig(): BytePairConfig {
    const text = (id: number) => this.vocabulary.textOf(id)!;
    const merges = Array.from({ length: this.#merges.count }, (_, rank) => {
      const { left, right } = this.#merges.at(rank);
      return this.#writesPairs ? [text(left), text(right)] : `${text(left)} ${text(right)}`;
    });
    return { ...this.#settings, vocab: this.vocabulary.toRecord(), merges };
  }

  /** The tokens of pieces that no merge crosses. */
  override encode(pieces: string[]): string[] {
    return pieces.flatMap(this.#tokensOf);
  }

  #encodePiece(piece: string): string[] {
    if (this.#settings.ignore_merges && this.vocabulary.find(piece) !== noToken) return [piece];
    const merges = this.#merges;
    // symbol i: its token, where it begins in the piece, and the symbols beside it
    const [ids, starts] = this.#charactersOf(piece);
    const count = ids.length;
    const next = Int32Array.from(ids, (_, i) => i + 1);
    const previous = Int32Array.from(ids, (_, i) => i - 1);
    // the merges that are possible, as rank · count + symbol, so that the smallest number is the next to be done
    const possible = new Heap<number>(isLess);
    const consider = (symbol: number) => {
      const other = next[symbol]!;
      if (other >= count) return;
      const rank = merges.rank(ids[symbol]!, ids[other]!);
      if (rank !== noMerge) possible.push(rank * count + symbol);
    };
    for (let symbol = 0; symbol + 1 < count; symbol++) consider(symbol);
    for (let best = possible.pop(); best !== undefined; best = possible.pop()) {
      const symbol = best % count;
      const rank = Math.floor(best / count);
      const other = next[symbol]!;
      // one of the two may have been merged with another since
      if (other >= count || merges.rank(ids[symbol]!, ids[other]!) !== rank) continue;
      ids[symbol] = merges.merged(rank);
      ids[other] = noToken;
      next[symbol] = next[other]!;
      if (next[symbol]! < count) previous[next[symbol]!] = symbol;
      consider(symbol);
      if (previous[symbol]! >= 0) consider(previous[symbol]!);
    }
    const tokens: string[] = [];
    for (let symbol = 0; symbol < count; symbol = next[symbol]!) {
      const text = piece.slice(starts[symbol], starts[next[symbol]!]);
      if (ids[symbol] !== noToken) tokens.push(text);
      else tokens.push(...this.#unknown(text));
    }
    return tokens;
  }

  /** Token and beginning of each character, with the piece's end at the end. */
  #charactersOf(piece: string): [Int32Array, Int32Array] {
    const starts: number[] = [];
    for (let i = 0; i < piece.length; i += piece.codePointAt(i)! > 0xffff ? 2 : 1) starts.push(i);
    const ends = Int32Array.from([...starts, piece.length]);
    return [Int32Array.from(starts, (start, i) => this.vocabulary.find(piece, start, ends[i + 1])), ends];
  }

  /** What stands for a character that is no token: its bytes, or the token for what is unknown, or nothing. */
  #unknown(character: string): readonly string[] {
    if (this.#settings.byte_fallback) {
      const bytes = Array.from(new TextEncoder().encode(character), (byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`);
      if (bytes.every((byte) => this.vocabulary.find(byte) !== noToken)) return bytes;
    }
    return this.unk_token === undefined ? [] : [this.unk_token];
  }
}

const isLess = (one: number, other: number) => one < other;

/** The library looks ids up in a Map. */
class PackedMap extends Map<string, number> {
  readonly #vocabulary: Vocabulary;

  constructor(vocabulary: Vocabulary) {
    super();
    this.#vocabulary = vocabulary;
  }

  override get(token: string): number | undefined {
    const id = this.#vocabulary.find(token);
    return id === noToken ? undefined : id;
  }

  override has(token: string): boolean {
    return this.#vocabulary.find(token) !== noToken;
  }
}

function readMerge(vocabulary: Vocabulary, merge: string | readonly string[], rank: number): Merge {
  const [left, right, ...more] = typeof merge === 'string' ? merge.split(' ') : Array.isArray(merge) ? merge : [];
  if (typeof left === 'string' && typeof right === 'string' && more.length === 0) {
    const found = { left: vocabulary.find(left), right: vocabulary.find(right), merged: vocabulary.find(left + right) };
    if (found.left !== noToken && found.right !== noToken && found.merged !== noToken) return found;
  }
  const shown = (JSON.stringify(merge) ?? 'nothing').slice(0, 100);
  throw new RlpaError(
    'invalid-model',
    `tokenizer.json, model.merges[${rank}]: expected two tokens that make a third, each of them in model.vocab, found ${shown}.`,
    { field: `model.merges[${rank}]` },
  );
}
