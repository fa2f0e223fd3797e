import type { OpenAIChatModel, OpenAIChatStats } from '../chat/index';

const roles = ['user', 'judge', 'policy'] as const;
/** What a chat model does in a run: play the users, judge the replies, or be measured. */
export type ModelRole = (typeof roles)[number];

/** The chat models of a run with what they did and what went wrong, in this process. */
export type ModelUse = Readonly<Partial<Record<ModelRole, { readonly name: string } & OpenAIChatStats>>>;

export function modelUse(models: Readonly<Partial<Record<ModelRole, OpenAIChatModel>>>): ModelUse {
  return Object.fromEntries(roles.flatMap((role) => (models[role] ? [[role, { name: models[role].name, ...models[role].stats }]] : [])));
}

const titles: Readonly<Record<ModelRole, string>> = { user: 'User model', judge: 'Judge model', policy: 'Model' };

/** A line each: `Judge model qwen2.5:7b, in this process: 412 calls, 19 requests repeated, 5 calls failed (timeout 5); …`. */
export function describeModelUse(use: ModelUse): string[] {
  return roles.flatMap((role) => {
    const of = use[role];
    if (of === undefined) return [];
    const failures = Object.entries(of.failures);
    const failed = failures.reduce((sum, [, count]) => sum + count, 0);
    const parts = [
      `${of.calls} calls`,
      `${of.retries} requests repeated`,
      `${failed} calls failed${failed > 0 ? ` (${failures.map(([code, count]) => `${code} ${count}`).join(', ')})` : ''}`,
    ];
    return [`${titles[role]} ${of.name}, in this process: ${parts.join(', ')}; ${of.inputTokens} tokens in, ${of.outputTokens} out.`];
  });
}
