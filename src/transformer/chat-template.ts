import { Template } from '@huggingface/jinja';
import type { ChatMessage } from '../chat/index';
import { checkKnown, RlpaError } from '../errors';
import { chatML } from './chat-ml';
import type { Tokenizer } from './tokenizer';

export interface RenderOptions {
  /** End with the opening of an assistant's message, for the model to go on from. */
  readonly addGenerationPrompt?: boolean;
}

/**
 * A model's Jinja chat template, which turns messages into the text that the model was trained on.
 *
 * @example
 * import { ChatTemplate, Tokenizer, trainTokenizer } from 'rlpa';
 * const files = trainTokenizer({ texts: ['Hi, hello!'], vocabularySize: 300 });
 * const template = ChatTemplate.of(Tokenizer.fromJSON(files.tokenizer, files.tokenizerConfig));
 * template.render([{ role: 'user', content: 'Hi' }], { addGenerationPrompt: true });
 * // '<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n'
 */
export class ChatTemplate {
  /** The Jinja source. */
  readonly source: string;
  readonly #template: Template;
  readonly #variables: Readonly<Record<string, unknown>>;

  /**
   * @param source Jinja; ChatML by default
   * @param variables what the template may read besides the messages: `bos_token`, `eos_token` and the like
   * @throws RlpaError `invalid-model` when the source is not Jinja
   */
  constructor(source: string = chatML, variables: Readonly<Record<string, unknown>> = {}) {
    this.source = source;
    // Llama 3 writes today's date into its prompt unless it is given one; two runs with one seed must not differ by their day.
    this.#variables = { date_string: '26 Jul 2024', ...variables };
    try {
      this.#template = new Template(source);
    } catch (cause) {
      throw new RlpaError('invalid-model', `The chat template is not valid Jinja: ${(cause as Error).message}`, {}, { cause });
    }
  }

  /**
   * The template that a tokenizer comes with: `source` (the text of chat_template.jinja) if given, else `chat_template` of its
   * tokenizer_config.json, else ChatML.
   *
   * @throws RlpaError `invalid-model`
   */
  static of(tokenizer: Tokenizer, source?: string): ChatTemplate {
    const { config } = tokenizer;
    const variables: Record<string, unknown> = {};
    for (const name of ['bos_token', 'eos_token', 'pad_token', 'unk_token']) {
      const value = config[name];
      const text = typeof value === 'object' && value !== null ? (value as { content?: unknown }).content : value;
      if (typeof text === 'string') variables[name] = text;
    }
    return new ChatTemplate(source ?? configuredSource(config.chat_template), variables);
  }

  /**
   * @throws RlpaError `invalid-option` when the template refuses the messages, for example two user messages in a row
   */
  render(messages: readonly Pick<ChatMessage, 'role' | 'content'>[], options: RenderOptions = {}): string {
    checkKnown('ChatTemplate.render', options, { addGenerationPrompt: true });
    try {
      return this.#template.render({
        ...this.#variables,
        messages: messages.map(({ role, content }) => ({ role, content })),
        add_generation_prompt: options.addGenerationPrompt ?? false,
      });
    } catch (cause) {
      throw new RlpaError('invalid-option', `The chat template refuses these messages: ${(cause as Error).message}`, {}, { cause });
    }
  }
}

/**
 * The token ids of a chat. Assistant messages that carry `tokens` keep them as they are: never decoded and encoded again, so the prompt
 * of turn t + 1 begins with the prompt and the completion of turn t, token for token. The end of their turn is added where they were cut
 * off, and not doubled where they have it.
 *
 * Special tokens that are spelled out in a message's content are encoded as plain text: a message cannot forge another's turn.
 *
 * @throws RlpaError `invalid-option` when the template refuses the messages, `invalid-model` when it drops or repeats one with `tokens`
 */
export function encodeChat(
  tokenizer: Tokenizer,
  template: ChatTemplate,
  messages: readonly ChatMessage[],
  options: RenderOptions = {},
): Int32Array {
  const mark = unusedMark(messages, template.source);
  const cut = `${mark}-${mark}`;
  const spliced: (readonly number[])[] = [];
  const marked = messages.map(({ role, content, tokens }) => {
    if (role === 'assistant' && tokens !== undefined) return { role, content: `${mark}${spliced.push(tokens) - 1}${mark}` };
    return { role, content: breakSpecialTexts(content, tokenizer.specialTexts, cut) };
  });
  const pieces = template.render(marked, options).split(new RegExp(`${mark}(\\d+)${mark}`));
  if (pieces.length !== 2 * spliced.length + 1 || spliced.some((_, i) => pieces[2 * i + 1] !== String(i))) {
    throw new RlpaError('invalid-model', 'The chat template does not write every assistant message exactly once and in order.', {
      expected: spliced.length,
      found: (pieces.length - 1) / 2,
    });
  }

  const ids: number[] = [];
  const encode = (text: string) => {
    for (const part of text.split(cut)) for (const id of encodedPart(tokenizer, part)) ids.push(id);
  };
  encode(pieces[0]!);
  for (const [i, tokens] of spliced.entries()) {
    for (const id of tokens) ids.push(id);
    encode(afterEndOfTurn(pieces[2 * i + 2]!, tokens.at(-1), tokenizer));
  }
  return Int32Array.from(ids);
}

/** How many parts of prompts are remembered for each tokenizer, and how long they may be, in UTF-16 code units. */
const [mostParts, longestPart] = [1024, 4096];

const encodedParts = new WeakMap<Tokenizer, Map<string, Int32Array>>();

/** A dialogue is encoded anew with each of its turns, and most of it was encoded before. The least recently used parts are forgotten. */
function encodedPart(tokenizer: Tokenizer, text: string): Int32Array {
  if (text.length > longestPart) return tokenizer.encode(text);
  let parts = encodedParts.get(tokenizer);
  if (!parts) {
    parts = new Map();
    encodedParts.set(tokenizer, parts);
  }
  const ids = parts.get(text) ?? tokenizer.encode(text);
  parts.delete(text);
  parts.set(text, ids);
  if (parts.size > mostParts) parts.delete(parts.keys().next().value!);
  return ids;
}

/**
 * The tokens that end an assistant's turn. The first is the one that the template writes, where it writes a special token; then the
 * tokenizer's and the model's own end-of-text tokens.
 *
 * @param eosTokenIds `eos_token_id` of generation_config.json or config.json
 * @throws RlpaError `invalid-model` when there is none, so that sampling could never stop
 */
export function endOfTurn(tokenizer: Tokenizer, template: ChatTemplate, eosTokenIds: readonly number[] = []): number[] {
  const mark = unusedMark([], template.source);
  const text = template.render([
    { role: 'user', content: 'x' },
    { role: 'assistant', content: mark },
  ]);
  const after = text.slice(text.lastIndexOf(mark) + mark.length).trimStart();
  const written = tokenizer.specialTexts.find((special) => after.startsWith(special));
  const ids = [written === undefined ? undefined : tokenizer.tokenId(written), tokenizer.eosId, ...eosTokenIds];
  const stops = [...new Set(ids.filter((id) => id !== undefined))];
  if (stops.length === 0) {
    throw new RlpaError('invalid-model', 'Expected an end-of-turn token from the chat template, the tokenizer or the model; found none.');
  }
  return stops;
}

/** What the template writes after a message, without the end of the turn where the message's last token is that already. */
function afterEndOfTurn(text: string, last: number | undefined, tokenizer: Tokenizer): string {
  if (last === undefined || !tokenizer.isSpecial(last)) return text;
  const end = tokenizer.specialTexts.find((special) => tokenizer.tokenId(special) === last);
  const trimmed = text.trimStart();
  return end !== undefined && trimmed.startsWith(end) ? trimmed.slice(end.length) : text;
}

/** Splits special tokens that are spelled out, so that no half is recognised as one. */
function breakSpecialTexts(content: string, specialTexts: readonly string[], cut: string): string {
  let broken = content;
  for (const special of specialTexts) broken = broken.replaceAll(special, special[0] + cut + special.slice(1));
  return broken;
}

/** A text that occurs in no message: a private-use character, repeated until nobody else has it. */
function unusedMark(messages: readonly Pick<ChatMessage, 'content'>[], source: string): string {
  let mark = '\uF8F0';
  while (source.includes(mark) || messages.some(({ content }) => content.includes(mark))) mark += '\uF8F0';
  return mark;
}

/** `chat_template` is Jinja, or a list of named templates of which one is the default. */
function configuredSource(value: unknown): string | undefined {
  if (value === undefined || value === null || typeof value === 'string') return value ?? undefined;
  const named = Array.isArray(value) ? value.find((entry) => entry?.name === 'default')?.template : undefined;
  if (typeof named === 'string') return named;
  throw new RlpaError('invalid-model', 'tokenizer_config.json, chat_template: expected a text or a list with one named "default".', {
    field: 'chat_template',
  });
}
