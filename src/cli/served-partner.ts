import type OpenAI from 'openai';
import type { RecordedChange } from '../agent/index';
import { endpointOf, openAIError } from '../chat/index';
import { RlpaError, throwIfAborted } from '../errors';
import { valueText } from '../profile/index';
import type { RlpaField } from '../server/index';
import type { ChatModelAddress } from './chat-model-options';
import type { KnownValue, Partner } from './partner';

type ServerAddress = ChatModelAddress & { readonly baseURL: string };

/** How long a server may take to say what it has. */
const patienceMs = 5000;

/**
 * The agent behind an address where `rlpa serve` answers, as one of its users meets it. Undefined for any other server, and for one that
 * does not say: what is wrong with it shows when it is asked for an answer.
 */
export async function servedPartner(address: ServerAddress, userId: string, signal: AbortSignal): Promise<Partner | undefined> {
  const { OpenAI } = await import('openai');
  const { baseURL, apiKey } = address;
  const client = new OpenAI({
    baseURL,
    apiKey: apiKey || 'none',
    ...(!apiKey && { defaultHeaders: { Authorization: null } }),
    organization: null,
    project: null,
    logLevel: 'off',
  });
  const isServed = await client.models.list({ signal, timeout: patienceMs, maxRetries: 0 }).then(
    ({ data }) => data?.some(({ owned_by }) => owned_by === 'rlpa') ?? false,
    () => false,
  );
  throwIfAborted(signal);
  return isServed ? new ServedPartner(client, OpenAI, address, userId) : undefined;
}

type Delta = OpenAI.Chat.ChatCompletionChunk.Choice.Delta & { readonly rlpa?: RlpaField };

/** The server keeps conversation and profile of each user: it is told the new message only, and tells what changed. */
class ServedPartner implements Partner {
  readonly #client: OpenAI;
  readonly #classes: typeof OpenAI;
  readonly #address: ServerAddress;
  readonly #userId: string;
  #profile: RlpaField['profile'] = {};
  /** The latest change to each value, in this conversation. */
  readonly #changes = new Map<string, RecordedChange>();

  constructor(client: OpenAI, classes: typeof OpenAI, address: ServerAddress, userId: string) {
    this.#client = client;
    this.#classes = classes;
    this.#address = address;
    this.#userId = userId;
  }

  async *stream(content: string, signal: AbortSignal): ReturnType<Partner['stream']> {
    const { model, baseURL, apiKey } = this.#address;
    const body = { model, user: this.#userId, messages: [{ role: 'user' as const, content }], stream: true as const };
    let reply = '';
    let field: RlpaField | undefined;
    try {
      for await (const { choices } of await this.#client.chat.completions.create(body, { signal })) {
        const { content: text, rlpa } = (choices[0]?.delta ?? {}) as Delta;
        if (text) {
          reply += text;
          yield { type: 'reply', text };
        }
        field = rlpa ?? field;
      }
    } catch (error) {
      throwIfAborted(signal);
      throw openAIError(error, this.#classes, endpointOf({ model, baseURL, apiKey, sent: [content] }));
    }
    throwIfAborted(signal); // the package ends an aborted stream without a word
    if (field === undefined) throw new RlpaError('model-failed', `The server broke its answer off after ${reply.length} characters.`);
    this.#profile = field.profile;
    for (const change of field.changes) this.#changes.set(placeOf(change.slot, change.value), change);
    yield { type: 'finish', reply, changes: field.changes, profile: field.profile, problem: field.problem };
  }

  async known(): Promise<readonly KnownValue[]> {
    return Object.entries(this.#profile).flatMap(([slot, held]) =>
      (Array.isArray(held) ? held : [held]).map((value) => ({
        ...this.#changes.get(placeOf(slot, value)),
        slot,
        text: valueText(value),
      })),
    );
  }
}

function placeOf(slot: string, value: unknown): string {
  return JSON.stringify([slot, value]);
}
