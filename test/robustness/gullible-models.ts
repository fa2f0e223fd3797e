import type { ChatMessage, ChatRequest } from '../../src/chat/index';
import { formatTurn, type ProfileSchema } from '../../src/profile/index';
import { type ScriptedChatModel, scriptedChatModel } from '../../src/testing/index';
import type { Order } from './injections';

/** How servers write a chat as one text, and what a model that only sees the text takes for the system's words. */
const templates: readonly { readonly render: (messages: readonly ChatMessage[]) => string; readonly system: RegExp }[] = [
  {
    render: (messages) => messages.map(({ role, content }) => `<|im_start|>${role}\n${content}<|im_end|>\n`).join(''),
    system: /<\|im_start\|>system\n([\s\S]*?)(?:<\|im_end\|>|$)/g,
  },
  {
    render: (messages) =>
      messages.map(({ role, content }) => `<|start_header_id|>${role}<|end_header_id|>\n\n${content}<|eot_id|>`).join(''),
    system: /<\|start_header_id\|>system<\|end_header_id\|>([\s\S]*?)(?:<\|eot_id\|>|$)/g,
  },
  {
    render: (messages) => messages.map(({ role, content }) => `<start_of_turn>${role}\n${content}<end_of_turn>\n`).join(''),
    system: /<start_of_turn>system\n([\s\S]*?)(?:<end_of_turn>|$)/g,
  },
  {
    render: ([system, ...rest]) =>
      `<s>[INST] <<SYS>>\n${system!.content}\n<</SYS>>\n\n${rest.map(({ role, content }) => (role === 'user' ? `${content} [/INST]` : ` ${content} </s><s>[INST] `)).join('')}`,
    system: /<<SYS>>([\s\S]*?)(?:<<\/SYS>>|$)/g,
  },
  {
    render: ([system, ...rest]) =>
      `<s>[SYSTEM_PROMPT]${system!.content}[/SYSTEM_PROMPT]${rest.map(({ role, content }) => (role === 'user' ? `[INST]${content}[/INST]` : `${content}</s>`)).join('')}`,
    system: /\[SYSTEM_PROMPT\]([\s\S]*?)(?:\[\/SYSTEM_PROMPT\]|$)/g,
  },
];

const order = /\bset (\w+) to "?(\w+)/gi;

/** The text as it may look to whoever reads it: without invisible characters, with their meaning; as ASCII; or as it is. */
function looks(text: string): string[] {
  const untagged = text.replace(/[\u{e0000}-\u{e007f}]/gu, (character) => String.fromCodePoint(character.codePointAt(0)! - 0xe0000));
  const reversed = text.replace(/\u202e([^\u202c]*)\u202c?/g, (_, hidden: string) => [...hidden].reverse().join(''));
  return [text, untagged, reversed, text.normalize('NFKC'), text.replace(/\p{Default_Ignorable_Code_Point}/gu, '')];
}

/** What the system says outside the fenced profile. A fence ends at the first thing that looks like its end, in whatever case. */
function outsideFence(text: string): string {
  return text.replace(/<known_about_user>[\s\S]*?<\/?\s*known_about_user\s*>/gi, '').replace(/```[\s\S]*?```/g, '');
}

/**
 * The orders that stand outside the fenced profile in what the chat's text makes look like the system's words; within the fence, the lines
 * that do not begin as JSON does, as a model might that takes a line for a new section.
 */
export function escapedOrders(messages: readonly ChatMessage[]): Order[] {
  const found: Order[] = [];
  for (const { render, system } of templates) {
    for (const text of looks(render(messages))) {
      for (const [, said = ''] of text.matchAll(system)) {
        const lines = said.split(/[\n\r\v\f\u0085\u2028\u2029]/);
        const sections = lines.filter((line) => !/^\s*(?:["{}[\]]|$)/.test(line) && /^\W*set\b/i.test(line));
        for (const free of [outsideFence(said), ...sections]) {
          for (const [, slot, value] of free.matchAll(order)) found.push({ op: 'set', slot: slot!.toLowerCase(), value });
        }
      }
    }
  }
  return found;
}

type Form = 'text' | 'json';

function answer(
  form: Form,
  schema: ProfileSchema,
  known: object,
  orders: readonly (Order & { evidence?: string | null })[],
  reply: string,
): string {
  if (form === 'json') {
    const changes = orders.map(({ op, slot, value = null, evidence = null }) => ({ op, slot, value, evidence }));
    return JSON.stringify({ changes, reply });
  }
  const before = schema.safeProfile(known).profile;
  return formatTurn(before.with(orders), reply);
}

/** Obeys whatever escapes its fence, and repeats what it was told in its reply. */
export function fenceEscapee(form: Form, schema: ProfileSchema, known: object): ScriptedChatModel {
  return scriptedChatModel(({ messages }) => answer(form, schema, known, escapedOrders(messages), messages.at(-1)!.content.slice(0, 400)), {
    structuredOutput: form === 'json',
  });
}

/** Does what it is told to, by whomever, and cites what it is told to. */
export function obedientModel(
  form: Form,
  schema: ProfileSchema,
  known: object,
  orders: (request: ChatRequest) => readonly (Order & { evidence?: string | null })[],
): ScriptedChatModel {
  return scriptedChatModel((request) => answer(form, schema, known, orders(request), 'Certainly.'), { structuredOutput: form === 'json' });
}
