import type { ChatMessage, ChatRequest } from '../chat/index';
import { describeSlots, formatTurn, type Profile, type ProfileSchema, parseProfileBlock, type SlotDefinition } from '../profile/index';
import { type AgentProblem, type Answer, AnswerReader, wholeAnswer } from './answer';
import { unframed } from './fence';
import { type AnswerForm, changesInstructions, type PromptBuilder } from './prompt';
import { answerJsonSchema, parseStructuredAnswer, profileJsonSchema } from './structured-answer';
import { withoutThoughts } from './thoughts';
import { wellFormed } from './well-formed';

/** What is asked for once more after an answer, or after a reply that was written alone. */
export interface SecondRequest {
  /** What the model was asked first. */
  readonly messages: readonly ChatMessage[];
  /** What the user has got to read; empty if nothing. */
  readonly reply: string;
  /** What was wrong with the first answer, if anything was. */
  readonly problem?: AgentProblem;
  readonly form: AnswerForm | 'reply';
  readonly slots: readonly SlotDefinition[];
}

/** Asks for the profile part alone: the user has got the reply already. */
export function profileRequest({ messages, reply, problem, form, slots }: SecondRequest): ChatRequest {
  const instruction = [
    problem && `The form of your answer was broken: ${unframed(problem.message)}`,
    'The user has got your reply; write no other. Write down what the last message before it says about the user.',
    form === 'json' ? jsonTask(slots) : textTask(slots),
  ];
  return {
    messages: [
      ...messages,
      { role: 'assistant', content: unframed(reply) },
      { role: 'user', content: instruction.filter(Boolean).join('\n\n') },
    ],
    ...(form === 'json' && { jsonSchema: { name: 'profile', schema: profileJsonSchema(slots) } }),
  };
}

/** Reads the answer to `profileRequest`; `reply` is the one that the user has got. Never throws. */
export function readProfileAnswer(schema: ProfileSchema, form: AnswerForm, written: string, before: Profile, reply: string): Answer {
  const text = withoutThoughts(written);
  if (form === 'json') {
    const answer = parseStructuredAnswer(withReply(text, reply));
    if (!answer.ok) return { text, proposals: [], rejected: [], reply, problem: answer.problem };
    const { changes, rejected } = answer;
    return { text: JSON.stringify({ changes, reply }), known: before, proposals: changes, rejected, reply };
  }
  const block = parseProfileBlock(schema, wellFormed(text), { tolerateValues: true });
  if (!block.ok) return { text, proposals: [], rejected: [], reply, problem: block.problem };
  return wholeAnswer(formatTurn(block.profile, reply), before, block, reply);
}

/** Asks for the whole answer again: nothing of the first could be shown. */
export function answerRequest({ messages, problem, form, slots }: SecondRequest): ChatRequest {
  const correction = `Your answer could not be read: ${unframed(problem?.message ?? 'it is empty.')} Answer my message before it again, in the form that was asked for.`;
  return {
    messages: [...messages, { role: 'assistant', content: '…' }, { role: 'user', content: correction }],
    ...(form === 'json' && { jsonSchema: { name: 'profile_turn', schema: answerJsonSchema(slots) } }),
  };
}

export function readAnswer(
  { schema, prompt }: { readonly schema: ProfileSchema; readonly prompt: PromptBuilder },
  form: AnswerForm | 'reply',
  text: string,
  before: Profile,
): Answer {
  const reader = new AnswerReader(schema, form, prompt.wholeTurnsOnly);
  reader.push(text);
  return reader.end(before);
}

function jsonTask(slots: readonly SlotDefinition[]): string {
  return `Write JSON with one field, "changes": what that message changes in what you know about the user; empty if it changes nothing.

${changesInstructions(slots)}`;
}

function textTask(slots: readonly SlotDefinition[]): string {
  return `Write everything that you know about the user by now, in exactly this form and with nothing around it:

<profile>
${slots.map((slot) => `- ${slot.label}: ${slot.cardinality === 'many' ? 'value; value' : 'value'}`).join('\n')}
</profile>

The slots:
${describeSlots(slots)}

Leave out the lines of which nothing is known. Only what the user said or what follows from it. Keep what you knew before unless the user
contradicts it, and each value short.`;
}

/** JSON that lacks nothing but the reply, with one. */
function withReply(text: string, reply: string): string {
  try {
    return JSON.stringify({ ...JSON.parse(text.slice(text.indexOf('{'), text.lastIndexOf('}') + 1)), reply: reply || '…' });
  } catch {
    return text;
  }
}
