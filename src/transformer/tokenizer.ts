import { Tokenizer as HuggingFaceTokenizer } from '@huggingface/tokenizers';
import { checkKnown, RlpaError } from '../errors';
import { type BytePairConfig, BytePairEncoding } from './byte-pair-encoding';
import { type TokenBytes, tokenBytesOf } from './token-bytes';

type Json = Readonly<Record<string, unknown>>;

/** No published vocabulary comes near it; a larger id is a broken file, and tables are allocated by the largest id. */
const largestId = 2 ** 22;

export interface EncodeOptions {
  /** Add what the tokenizer puts around a single text, such as Llama's `<s>`. False by default: chat templates write their own. */
  readonly addSpecial?: boolean;
}

export interface DecodeOptions {
  /** Leave special tokens out of the text. False by default. */
  readonly skipSpecial?: boolean;
}

/**
 * Text to token ids and back, by a Hugging Face `tokenizer.json` with a BPE model: byte-level (Qwen2, Llama 3) or SentencePiece (Llama 2).
 *
 * Encoding is `@huggingface/tokenizers` around a {@link BytePairEncoding}; decoding is over bytes, so that streams can stop inside a
 * character.
 *
 * @example
 * import { readFile } from 'node:fs/promises';
 * import { Tokenizer } from 'rlpa';
 * const read = async (name: string) => JSON.parse(await readFile(`./Qwen2.5-0.5B-Instruct/${name}`, 'utf8'));
 * const tokenizer = Tokenizer.fromJSON(await read('tokenizer.json'), await read('tokenizer_config.json'));
 * tokenizer.decode(tokenizer.encode('Bonjour 🙂')); // 'Bonjour 🙂'
 */
export class Tokenizer {
  /** One more than the largest token id: the rows that an embedding needs at least. */
  readonly size: number;
  readonly bosId: number | undefined;
  readonly eosId: number | undefined;
  readonly padId: number | undefined;
  /** The parsed tokenizer_config.json; empty when there was none. */
  readonly config: Json;

  /** tokenizer.json without its model. */
  readonly #frame: Json;
  readonly #engine: HuggingFaceTokenizer;
  readonly #pairs: BytePairEncoding;
  readonly #tokenBytes: TokenBytes;
  readonly #added: ReadonlyMap<number, string>;
  readonly #addedIds: ReadonlyMap<string, number>;
  readonly #special: ReadonlySet<number>;

  private constructor(frame: Json, config: Json, engine: HuggingFaceTokenizer, pairs: BytePairEncoding) {
    this.config = config;
    this.#frame = frame;
    this.#engine = engine;
    this.#pairs = pairs;
    this.#tokenBytes = tokenBytesOf(frame.decoder);
    const added = addedTokens(frame);
    this.#added = new Map(added.map((token) => [token.id, token.content]));
    this.#addedIds = new Map(added.map((token) => [token.content, token.id]));
    this.size = added.reduce((size, { id }) => Math.max(size, id + 1), pairs.vocabulary.size);
    this.bosId = this.#configured('bos_token');
    this.eosId = this.#configured('eos_token');
    this.padId = this.#configured('pad_token');
    const special = added.filter((token) => token.special).map((token) => token.id);
    for (const id of [this.bosId, this.eosId, this.padId, this.#configured('unk_token')]) if (id !== undefined) special.push(id);
    this.#special = new Set(special);
  }

  /**
   * @param tokenizerJson the parsed tokenizer.json
   * @param tokenizerConfig the parsed tokenizer_config.json, which names the special tokens
   * @throws RlpaError `invalid-model` when it is not a BPE tokenizer or is broken
   */
  static fromJSON(tokenizerJson: unknown, tokenizerConfig: unknown = {}): Tokenizer {
    const json = objectOf(tokenizerJson, 'tokenizer.json');
    const config = objectOf(tokenizerConfig, 'tokenizer_config.json');
    const { model, ...frame } = json;
    const pairs = new BytePairEncoding(bytePairConfig(model));
    let engine: HuggingFaceTokenizer;
    try {
      engine = new HuggingFaceTokenizer({ ...frame, model: { type: 'BPE', vocab: {}, merges: [] } }, config);
    } catch (cause) {
      throw new RlpaError('invalid-model', `tokenizer.json cannot be used: ${(cause as Error).message}`, {}, { cause });
    }
    engine.model = pairs;
    return new Tokenizer(frame, config, engine, pairs);
  }

  /** The parsed tokenizer.json, as it is saved beside a model. Made anew: half a second for 152 thousand tokens. */
  get json(): Json {
    return { ...this.#frame, model: this.#pairs.toConfig() };
  }

  /** The token ids of a text. Special tokens that are spelled out in it are recognised. */
  encode(text: string, options: EncodeOptions = {}): Int32Array {
    checkKnown('Tokenizer.encode', options, { addSpecial: true });
    if (text === '' && !options.addSpecial) return new Int32Array(0);
    return Int32Array.from(this.#engine.encode(text, { add_special_tokens: options.addSpecial ?? false }).ids);
  }

  /** The text of token ids. Bytes that are no UTF-8 become U+FFFD; ids without a token stand for nothing. */
  decode(ids: ArrayLike<number>, options: DecodeOptions = {}): string {
    const stream = this.stream(options);
    let text = '';
    for (let i = 0; i < ids.length; i++) text += stream.push(ids[i]!);
    return text + stream.end();
  }

  /** Decodes token by token, as tokens are sampled. */
  stream(options: DecodeOptions = {}): TokenStream {
    checkKnown('Tokenizer', options, { skipSpecial: true });
    return new TokenStream(
      (id) => (options.skipSpecial && this.#special.has(id) ? nothing : this.#bytesOf(id)),
      this.#tokenBytes.stripsLeadingSpace,
    );
  }

  /** The id of the token with exactly this text, special or not; undefined when there is none. */
  tokenId(token: string): number | undefined {
    return this.#addedIds.get(token) ?? this.#pairs.tokens_to_ids.get(token);
  }

  /** Whether decoding with `skipSpecial` leaves the token out. */
  isSpecial(id: number): boolean {
    return this.#special.has(id);
  }

  /** The texts that encode to one special token wherever they stand. */
  get specialTexts(): readonly string[] {
    return [...this.#special].flatMap((id) => this.#added.get(id) ?? []);
  }

  #bytesOf(id: number): Uint8Array {
    const added = this.#added.get(id);
    if (added !== undefined) return new TextEncoder().encode(added);
    const token = this.#pairs.vocabulary.textOf(id);
    return token === undefined ? nothing : this.#tokenBytes.bytesOf(token);
  }

  #configured(name: string): number | undefined {
    const value = this.config[name];
    const text = typeof value === 'object' && value !== null ? (value as Json).content : value;
    return typeof text === 'string' ? this.tokenId(text) : undefined;
  }
}

const nothing = new Uint8Array(0);

/** Text out of tokens one at a time: emits whole characters only, so that one split over two tokens comes out once, and right. */
export class TokenStream {
  readonly #bytesOf: (id: number) => Uint8Array;
  readonly #decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  #stripSpace: boolean;

  /** Use {@link Tokenizer.stream}. */
  constructor(bytesOf: (id: number) => Uint8Array, stripsLeadingSpace: boolean) {
    this.#bytesOf = bytesOf;
    this.#stripSpace = stripsLeadingSpace;
  }

  /** The text that this token completes, possibly none. */
  push(id: number): string {
    let bytes = this.#bytesOf(id);
    if (this.#stripSpace && bytes.length > 0) {
      this.#stripSpace = false;
      if (bytes[0] === 0x20) bytes = bytes.subarray(1);
    }
    return this.#decoder.decode(bytes, { stream: true });
  }

  /** What is left when no more tokens come: U+FFFD when they stopped inside a character. */
  end(): string {
    return this.#decoder.decode();
  }
}

interface AddedToken {
  readonly id: number;
  readonly content: string;
  readonly special: boolean;
}

function addedTokens(json: Json): AddedToken[] {
  const list = json.added_tokens ?? [];
  if (!Array.isArray(list)) throw broken('added_tokens', 'a list', list);
  for (const token of list as (Partial<AddedToken> | null)[]) {
    if (typeof token?.content !== 'string' || token.content === '' || !isId(token.id)) {
      throw broken('added_tokens', 'entries with an id and a content', token);
    }
  }
  return list as AddedToken[];
}

/** The model after checking what is read of it; its merges are checked as they are read. */
function bytePairConfig(value: unknown): BytePairConfig {
  const model = objectOf(value, 'tokenizer.json, model');
  if (model.type !== undefined && model.type !== 'BPE') throw broken('model.type', "'BPE'", model.type);
  for (const option of ['end_of_word_suffix', 'continuing_subword_prefix']) {
    if (model[option]) throw broken(`model.${option}`, 'none, for marks in words are not implemented', model[option]);
  }
  if (!Array.isArray(model.merges)) throw broken('model.merges', 'a list of merges', model.merges);
  const vocabulary = objectOf(model.vocab, 'tokenizer.json, model.vocab');
  const tokens = Object.keys(vocabulary);
  if (tokens.length === 0) throw broken('model.vocab', 'at least one token', 'none');
  for (const token of tokens) {
    if (!isId(vocabulary[token])) throw broken(`model.vocab['${token}']`, `an id from 0 to ${largestId}`, vocabulary[token]);
  }
  return model as unknown as BytePairConfig;
}

function isId(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= largestId;
}

function objectOf(value: unknown, what: string): Json {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Json;
  throw new RlpaError('invalid-model', `${what}: expected a JSON object, found ${value === null ? 'null' : typeof value}.`, {
    field: what,
  });
}

function broken(field: string, expected: string, found: unknown): RlpaError {
  const shown = (JSON.stringify(found) ?? 'nothing').slice(0, 100);
  return new RlpaError('invalid-model', `tokenizer.json, ${field}: expected ${expected}, found ${shown}.`, { field, expected });
}
