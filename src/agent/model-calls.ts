import { type ChatModel, type ChatPart, type ChatRequest, type ChatResult, modelError } from '../chat/index';
import { anySignal, waitFor, withDeadline } from '../deadline';
import { RlpaError, throwIfAborted } from '../errors';
import type { SlotMap } from '../profile/index';
import type { AgentSettings } from './agent-options';
import type { AgentProblem, Answer } from './answer';
import type { OpenTurn } from './open-turn';
import { answerRequest, profileRequest, readAnswer, readProfileAnswer } from './profile-request';

/** How long a call may take, and who may end it. */
export interface CallLimits {
  readonly endsAt: number;
  readonly signal: AbortSignal | undefined;
}

export interface RepairedAnswer extends Answer {
  /** What was wrong with the first answer. */
  readonly repaired?: AgentProblem;
}

/** An answer with its reply, if it has one. */
export interface RepliedAnswer extends RepairedAnswer {
  /** Why the call ended that the reply is from. */
  readonly finishReason: ChatResult['finishReason'];
}

/** A model whose answer somebody else generates, and hands over as it is read: it may never come, and nobody waits for it then. */
export interface OutsideModel extends ChatModel {
  readonly isOutside: true;
}

function timeLeft(endsAt: number): number {
  return Math.max(1, Math.ceil(endsAt - performance.now()));
}

/**
 * A call of the model within the turn's time, on the turn's account.
 *
 * @throws what the model throws, as `model-failed` where it is no error of the library; `timeout`, `aborted`
 */
export async function callModel<S extends SlotMap>(
  { model }: AgentSettings<S>,
  { meter }: OpenTurn<S>,
  request: ChatRequest,
  { endsAt, signal }: CallLimits,
): Promise<ChatResult> {
  const timeoutMs = timeLeft(endsAt);
  const { isOutside = false } = model as Partial<OutsideModel>;
  const answer = (deadline: AbortSignal) => model.generate({ ...request, timeoutMs, signal: deadline });
  try {
    const result = await withDeadline('The turn', timeoutMs, signal, answer, { keepsProcess: !isOutside });
    checkResult(model, result);
    meter.add(result.usage);
    return result;
  } catch (error) {
    throw modelError(error, model.name);
  }
}

/**
 * The same while it is being written; a reader that leaves early, or the deadline, ends the call. What the model says only when it has
 * finished is a part of the text as well.
 */
export async function* streamModel<S extends SlotMap>(
  { model }: AgentSettings<S>,
  { meter }: OpenTurn<S>,
  request: ChatRequest,
  { endsAt, signal }: CallLimits,
): AsyncGenerator<ChatPart, void, undefined> {
  const call = new AbortController();
  const { signal: callSignal, release } = anySignal(signal, call.signal);
  let parts: AsyncIterator<ChatPart> | undefined;
  let written = '';
  let isFinished = false;
  let isOver = false;
  const next = async () => {
    try {
      parts ??= model.stream({ ...request, timeoutMs: timeLeft(endsAt), signal: callSignal })[Symbol.asyncIterator]();
      const part = await waitFor('The turn', timeLeft(endsAt), signal, parts.next());
      if (!part.done) checkPart(model, part.value);
      return part;
    } catch (error) {
      throw modelError(error, model.name);
    }
  };
  try {
    for (;;) {
      throwIfAborted(signal);
      const { done, value } = await next();
      if (done) {
        isOver = true;
        break;
      }
      if (value.type === 'text') written += value.text;
      if (value.type === 'finish') {
        meter.add(value.usage);
        isFinished = true;
        const rest = value.text.startsWith(written) ? value.text.slice(written.length) : '';
        if (rest) yield { type: 'text', text: rest };
      }
      yield value;
    }
  } finally {
    if (!isOver) {
      call.abort();
      // What waits to be read further does not see the signal: a model would keep its turn of `withLimits` for good.
      (async () => parts?.return?.())().catch(() => {});
    }
    release();
  }
  if (!isFinished) throw new RlpaError('model-failed', `Model "${model.name}" ended its stream without a finish part.`);
}

function checkPart(model: ChatModel, part: ChatPart): void {
  if (typeof part !== 'object' || part === null) throw outOfContract(model, 'a part of its stream is no object');
  if (part.type === 'finish') checkResult(model, part);
  else if (part.type === 'text' && typeof part.text !== 'string') throw outOfContract(model, 'a part of its stream has no text');
}

function checkResult(model: ChatModel, result: ChatResult): void {
  if (typeof result?.text !== 'string') throw outOfContract(model, 'its result has no text');
  const { inputTokens, outputTokens } = result.usage ?? {};
  if (typeof inputTokens !== 'number' || typeof outputTokens !== 'number') throw outOfContract(model, 'its result has no usage');
  if (!finishReasons.has(result.finishReason))
    throw outOfContract(model, `the finishReason of its result is none of ${[...finishReasons].join(', ')}`);
}

const finishReasons: ReadonlySet<unknown> = new Set<ChatResult['finishReason']>(['stop', 'length', 'content-filter', 'other']);

function outOfContract({ name }: ChatModel, reason: string): RlpaError {
  return new RlpaError('model-failed', `Model "${name}" does not keep to ChatModel: ${reason}.`, { model: name });
}

/**
 * Asks once more where the answer is malformed: for the profile alone where there is a reply, else for all of it. Where the second answer
 * is malformed as well, or cannot be had, the first stands. A model that refused to write more is not asked. Never throws.
 */
export async function repairAnswer<S extends SlotMap>(
  settings: AgentSettings<S>,
  turn: OpenTurn<S>,
  answer: Answer,
  finishReason: ChatResult['finishReason'],
  limits: CallLimits,
): Promise<RepliedAnswer> {
  const { problem, reply } = answer;
  const first = { ...answer, finishReason };
  if (!problem || !settings.repair || finishReason === 'content-filter') return first;
  const { messages, slots, form, shown } = turn;
  const asked = { messages, slots, form, reply, problem };
  try {
    const call = await callModel(settings, turn, reply ? profileRequest(asked) : answerRequest(asked), limits);
    const second =
      reply && form !== 'reply'
        ? readProfileAnswer(settings.schema, form, call.text, shown, reply)
        : readAnswer(settings, form, call.text, shown);
    return second.problem ? first : { ...second, repaired: problem, finishReason: reply ? finishReason : call.finishReason };
  } catch {
    return first; // where it was aborted, the turn ends when it is to be stored
  }
}

/** Infers the profile from a message that has its reply. @throws what the model throws, `timeout`, `aborted` */
export async function inferProfile<S extends SlotMap>(
  settings: AgentSettings<S>,
  turn: OpenTurn<S>,
  reply: string,
  limits: CallLimits,
): Promise<RepairedAnswer> {
  const { schema, form, repair } = settings;
  const { messages, slots, shown } = turn;
  const ask = async (problem?: AgentProblem) => {
    const { text, finishReason } = await callModel(settings, turn, profileRequest({ messages, slots, form, reply, problem }), limits);
    return { ...readProfileAnswer(schema, form, text, shown, reply), mayAskAgain: repair && finishReason !== 'content-filter' };
  };
  const first = await ask();
  if (!first.problem || !first.mayAskAgain) return first;
  const second = await ask(first.problem).catch(() => first);
  return second.problem ? first : { ...second, repaired: first.problem };
}
