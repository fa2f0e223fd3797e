import type { ChatPart, ChatRequest, ChatResult } from '../chat/index';
import { waitFor, withDeadline } from '../deadline';
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

function timeLeft(endsAt: number): number {
  return Math.max(1, Math.ceil(endsAt - performance.now()));
}

/** A call of the model within the turn's time, on the turn's account. @throws what the model throws, `timeout`, `aborted` */
export async function callModel<S extends SlotMap>(
  { model }: AgentSettings<S>,
  { meter }: OpenTurn<S>,
  request: ChatRequest,
  { endsAt, signal }: CallLimits,
): Promise<ChatResult> {
  const timeoutMs = timeLeft(endsAt);
  const result = await withDeadline('The turn', timeoutMs, signal, (deadline) =>
    model.generate({ ...request, timeoutMs, signal: deadline }),
  );
  meter.add(result.usage);
  return result;
}

/** The same while it is being written; a reader that leaves early, or the deadline, ends the call. */
export async function* streamModel<S extends SlotMap>(
  { model }: AgentSettings<S>,
  { meter }: OpenTurn<S>,
  request: ChatRequest,
  { endsAt, signal }: CallLimits,
): AsyncGenerator<ChatPart, void, undefined> {
  const call = new AbortController();
  const callSignal = signal ? AbortSignal.any([signal, call.signal]) : call.signal;
  const parts = model.stream({ ...request, timeoutMs: timeLeft(endsAt), signal: callSignal })[Symbol.asyncIterator]();
  let isFinished = false;
  let isOver = false;
  try {
    for (;;) {
      throwIfAborted(signal);
      const { done, value } = await waitFor('The turn', timeLeft(endsAt), signal, parts.next());
      if (done) {
        isOver = true;
        break;
      }
      if (value.type === 'finish') {
        meter.add(value.usage);
        isFinished = true;
      }
      yield value;
    }
  } finally {
    if (!isOver) {
      call.abort();
      // What waits to be read further does not see the signal: a model would keep its turn of `withLimits` for good.
      Promise.resolve(parts.return?.()).catch(() => {});
    }
  }
  if (!isFinished) throw new RlpaError('model-failed', `Model "${model.name}" ended its stream without a finish part.`);
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
        : readAnswer(settings.schema, form, call.text, shown);
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
