import type { ChatModel } from '../chat/index';
import { checkKnown, invalidOption } from '../errors';
import type { ProfileSchema, SlotMap } from '../profile/index';
import type { Migration } from './migration';
import { memoryStore, type ProfileStore } from './profile-store';
import { type AnswerForm, fencedPrompt, type PromptBuilder } from './prompt';
import { checkBudget, type PromptBudget } from './prompt-budget';
import type { TurnLimits } from './sessions';
import { checkPrices, type TokenPrices } from './turn-meter';

export interface PersonalizedAgentOptions<S extends SlotMap = SlotMap> {
  readonly schema: ProfileSchema<S>;
  readonly model: ChatModel;
  /** Where users' profiles and conversations are kept; default `memoryStore()`, which forgets them with the program. */
  readonly store?: ProfileStore | undefined;
  /** What the agent is to be; by default a warm and attentive conversation partner. Part of the default prompt. */
  readonly instruction?: string | undefined;
  /** Default `fencedPrompt({ instruction })`. */
  readonly prompt?: PromptBuilder | undefined;
  /** The form of the answer; by default JSON where the model has structured output, else text. */
  readonly form?: AnswerForm | undefined;
  /**
   * `one-call`, the default: profile and reply come from one call. `after-reply`: a call writes the reply alone, and another one, which the
   * user does not wait for, infers the profile; `settled` waits for it.
   */
  readonly mode?: 'one-call' | 'after-reply' | undefined;
  /**
   * Ask once more where an answer is malformed: for the profile alone where there is a reply. Default true, but for prompts of policies
   * (`transcriptPrompt`), which write turns and cannot read the question.
   */
  readonly repair?: boolean | undefined;
  /** How many earlier turns of a session are kept, default 20. Those within `promptBudget` are shown to the model and searched for evidence. */
  readonly maxHistory?: number | undefined;
  /** Of how many sessions turns are kept, those that were spoken in last; default 20. The profile is from all that ever were. */
  readonly maxSessions?: number | undefined;
  /** How much of the profile and of the earlier turns goes into a prompt: the most relevant items, the latest turns. */
  readonly promptBudget?: PromptBudget | undefined;
  /** What the model costs, so that results say what a turn cost. */
  readonly prices?: TokenPrices | undefined;
  /**
   * One for each change of the schema that stored values have to follow, oldest first; only ever added to. Values are taken along when a
   * record is read, and stored with the next write. What the schema refuses then is kept in the history and reported.
   */
  readonly migrations?: readonly Migration[] | undefined;
  /** The clock of what is stored; default the system's. */
  readonly now?: (() => Date) | undefined;
  /** Ids of messages and items, each another; default random UUIDs. */
  readonly generateId?: (() => string) | undefined;
  /** Ends what runs after replies: for the end of the program. */
  readonly signal?: AbortSignal | undefined;
}

const known = {
  schema: true,
  model: true,
  store: true,
  instruction: true,
  prompt: true,
  form: true,
  mode: true,
  repair: true,
  maxHistory: true,
  maxSessions: true,
  promptBudget: true,
  prices: true,
  migrations: true,
  now: true,
  generateId: true,
  signal: true,
} satisfies Record<keyof PersonalizedAgentOptions, true>;

/** The options with everything settled. */
export interface AgentSettings<S extends SlotMap = SlotMap> {
  readonly schema: ProfileSchema<S>;
  readonly model: ChatModel;
  readonly store: ProfileStore;
  readonly prompt: PromptBuilder;
  readonly form: AnswerForm;
  readonly mode: 'one-call' | 'after-reply';
  readonly repair: boolean;
  readonly limits: TurnLimits;
  readonly budget: Required<PromptBudget>;
  readonly prices: TokenPrices | undefined;
  readonly migrations: readonly Migration[];
  readonly now: () => Date;
  readonly generateId: () => string;
  readonly signal: AbortSignal | undefined;
}

/** @throws `invalid-option` */
export function settle<S extends SlotMap>(options: PersonalizedAgentOptions<S>): AgentSettings<S> {
  checkKnown('PersonalizedAgent', options, known);
  const { model, mode = 'one-call', maxHistory = 20, maxSessions = 20, migrations = [] } = options;
  const {
    schema,
    store = memoryStore(),
    form,
    repair,
    now = () => new Date(),
    generateId = () => globalThis.crypto.randomUUID(),
  } = options;
  // By shape: of a package that is installed twice, a schema of the other is as good.
  if (typeof schema?.safeProfile !== 'function') throw invalidOption('PersonalizedAgent', 'schema', 'a ProfileSchema', schema, true);
  if (!has(model, 'generate', 'stream'))
    throw invalidOption('PersonalizedAgent', 'model', 'a ChatModel, with `generate` and `stream`', model, true);
  checkStore('PersonalizedAgent', store);
  if (options.instruction !== undefined && typeof options.instruction !== 'string')
    throw invalidOption('PersonalizedAgent', 'instruction', 'text', options.instruction);
  if (options.prompt !== undefined && typeof options.prompt !== 'function')
    throw invalidOption('PersonalizedAgent', 'prompt', 'a function', options.prompt);
  if (form !== undefined && form !== 'json' && form !== 'text') throw invalidOption('PersonalizedAgent', 'form', "'json' or 'text'", form);
  if (repair !== undefined && typeof repair !== 'boolean') throw invalidOption('PersonalizedAgent', 'repair', 'true or false', repair);
  if (typeof now !== 'function') throw invalidOption('PersonalizedAgent', 'now', 'a function', now);
  if (typeof generateId !== 'function') throw invalidOption('PersonalizedAgent', 'generateId', 'a function', generateId);
  const prompt = options.prompt ?? fencedPrompt({ instruction: options.instruction });
  if (!Number.isInteger(maxHistory) || maxHistory < 0)
    throw invalidOption('PersonalizedAgent', 'maxHistory', 'a whole number of at least 0', maxHistory);
  if (!Number.isInteger(maxSessions) || maxSessions < 1)
    throw invalidOption('PersonalizedAgent', 'maxSessions', 'a whole number of at least 1', maxSessions);
  if (mode !== 'one-call' && mode !== 'after-reply') throw invalidOption('PersonalizedAgent', 'mode', "'one-call' or 'after-reply'", mode);
  if (mode === 'after-reply' && prompt.wholeTurnsOnly)
    throw invalidOption('PersonalizedAgent', 'mode', "'one-call' with a prompt for policies", mode);
  if (!Array.isArray(migrations) || !migrations.every((migration) => typeof migration === 'function'))
    throw invalidOption('PersonalizedAgent', 'migrations', 'a list of functions', migrations);
  return {
    schema,
    model,
    store,
    prompt,
    form: form ?? (model.structuredOutput ? 'json' : 'text'),
    mode,
    repair: repair ?? !prompt.wholeTurnsOnly,
    limits: { maxHistory, maxSessions },
    budget: checkBudget(options.promptBudget),
    prices: checkPrices(options.prices),
    migrations,
    now,
    generateId,
    signal: options.signal,
  };
}

/** @throws `invalid-option` */
export function checkStore(owner: string, store: ProfileStore): void {
  if (!has(store, 'load', 'save', 'erase'))
    throw invalidOption(owner, 'store', 'a ProfileStore, with `load`, `save` and `erase`', store, true);
}

function has(value: object, ...methods: string[]): boolean {
  return methods.every((method) => typeof (value as Record<string, unknown> | undefined)?.[method] === 'function');
}
