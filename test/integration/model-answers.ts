import { criteria } from '../../src/reward/index';
import type { ServedRequest } from '../chat/openai-server';

export const isJudge = ({ body }: ServedRequest) => body.messages[0]!.content.startsWith('You judge');
const userLines = ['hi', 'good, and you?', 'not much going on', 'hm, let me think', 'same as always', 'yeah, sort of'];

/** A user who makes small talk, and a judge who likes mentions of hiking, in the form that each is asked for. */
export function answer(request: ServedRequest): string {
  const text = request.body.messages.map(({ content }) => content).join('\n');
  if (!isJudge(request)) return userLines[(text.length + Number(request.body.seed)) % userLines.length]!;
  const pass = /<reply>[^<]*hiking/.test(text);
  return JSON.stringify(Object.fromEntries(criteria.map((criterion) => [criterion, { reason: 'as the rubric says', pass }])));
}

/** What goes wrong with a model that is not asked for a stream. */
export const judgeFaults = [
  'malformed-content',
  'rate-limit',
  'cut-off',
  'server-error',
  'slow',
  'malformed-json',
  'no-message',
  'stalled',
] as const;
