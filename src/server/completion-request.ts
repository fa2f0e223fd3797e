import { z } from 'zod';
import { invalidRequest, type Refusal } from './refusal';

const text = z.union([
  z.string(),
  z.array(z.object({ type: z.literal('text'), text: z.string() })).transform((parts) => parts.map((part) => part.text).join('')),
]);
const name = z.string().trim().min(1).max(256);
const values = z.record(z.string(), z.unknown());

const message = z.discriminatedUnion('role', [
  z.object({ role: z.enum(['system', 'developer']), content: text }),
  z.object({ role: z.literal('user'), content: text }),
  z.object({ role: z.literal('assistant'), content: text.nullish(), rlpa: z.object({ profile: values }).nullish().catch(undefined) }),
]);

const body = z.looseObject({
  model: z.string(),
  messages: z.array(message).min(1),
  stream: z.boolean().nullish(),
  stream_options: z.object({ include_usage: z.boolean().nullish() }).nullish(),
  temperature: z.number().min(0).max(2).nullish(),
  top_p: z.number().gt(0).max(1).nullish(),
  max_tokens: z.int().min(1).nullish(),
  max_completion_tokens: z.int().min(1).nullish(),
  seed: z.int().nullish(),
  user: name.nullish(),
  rlpa: z
    .strictObject({
      userId: name.nullish(),
      sessionId: name.nullish(),
      consent: z.union([z.boolean(), z.array(z.string())]).nullish(),
    })
    .nullish(),
});

/** What a client asks for, validated. */
export type CompletionRequest = z.infer<typeof body>;
export type RequestMessage = CompletionRequest['messages'][number];

/** Parameters of the protocol that would change the answer and are not supported, each with the values that ask for nothing. */
const unsupported: Readonly<Record<string, (value: unknown) => boolean>> = {
  n: (value) => value === 1,
  stop: (value) => Array.isArray(value) && value.length === 0,
  tools: (value) => Array.isArray(value) && value.length === 0,
  functions: (value) => Array.isArray(value) && value.length === 0,
  response_format: (value) => (value as { type?: unknown }).type === 'text',
  logprobs: (value) => value === false,
  logit_bias: (value) => Object.keys(value as object).length === 0,
  frequency_penalty: (value) => value === 0,
  presence_penalty: (value) => value === 0,
  modalities: (value) => Array.isArray(value) && value.every((each) => each === 'text'),
  audio: () => false,
};

export function parseCompletionRequest(json: string): CompletionRequest | Refusal {
  let parsed: unknown;
  try {
    parsed = JSON.parse(json);
  } catch {
    return invalidRequest('The body is not valid JSON.', 'invalid_json');
  }
  const result = body.safeParse(parsed);
  if (!result.success) {
    const issue = result.error.issues[0]!;
    const param = pathText(issue.path);
    return invalidRequest(`${param ? `${param}: ` : 'The body: '}${issue.message}.`, 'invalid_value', param || undefined);
  }
  for (const [param, asksForNothing] of Object.entries(unsupported)) {
    const value = result.data[param];
    if (value !== undefined && value !== null && !asksForNothing(value)) {
      return invalidRequest(`${param}: this server does not support it.`, 'unsupported_parameter', param);
    }
  }
  return result.data;
}

/** Such as `messages[0].content`. */
function pathText(path: readonly PropertyKey[]): string {
  return path.map((key, index) => (typeof key === 'number' ? `[${key}]` : `${index > 0 ? '.' : ''}${String(key)}`)).join('');
}
