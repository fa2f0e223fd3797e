/**
 * A web page with the profile beside the chat, as it changes.
 *
 *   RLPA_POLICY=runs/tiny/policy npx tsx examples/web/server.ts
 *
 * Replies and profile come as server-sent events in the answer to a message. Users are told apart by a cookie that only this server reads.
 */
import { readFile } from 'node:fs/promises';
import { serve } from '@hono/node-server';
import { type Context, Hono } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import { getCookie, setCookie } from 'hono/cookie';
import { streamSSE } from 'hono/streaming';
import { memoryStore, PersonalizedAgent, RlpaError } from 'rlpa/agent';
import { z } from 'zod';
import { openSpeaker, schema } from '../speaker';
import { untilInterrupted } from '../until-interrupted';

const { model, prompt, dispose } = await openSpeaker();
const agent = new PersonalizedAgent({ schema, model, prompt, store: memoryStore() });
const app = new Hono();
const ending = new AbortController();

for (const [path, file, type] of [
  ['/', 'page.html', 'text/html'],
  ['/page.css', 'page.css', 'text/css'],
  ['/page.js', 'page.js', 'text/javascript'],
] as const) {
  const content = await readFile(new URL(file, import.meta.url), 'utf8');
  app.get(path, (c) => {
    userOf(c);
    c.header('Content-Security-Policy', "default-src 'self'; img-src data:");
    return c.body(content, 200, { 'Content-Type': `${type}; charset=utf-8` });
  });
}

app.post('/messages', bodyLimit({ maxSize: 16_384 }), async (c) => {
  const body = z.object({ message: z.string().trim().min(1).max(4_000) }).safeParse(await c.req.json().catch(() => undefined));
  if (!body.success) return c.json({ error: 'Expected JSON with a "message".' }, 400);
  const userId = userOf(c);
  // the page was closed, the answer was stopped, or the server ends
  const signal = AbortSignal.any([c.req.raw.signal, ending.signal]);
  return streamSSE(c, async (events) => {
    const send = (event: string, data: unknown) => events.writeSSE({ event, data: JSON.stringify(data) });
    try {
      for await (const part of agent.stream({ userId, message: body.data.message, signal })) {
        if (part.type === 'reply') await send('reply', part.text);
        if (part.type === 'finish') {
          await send('profile', await knownOf(userId));
          await send('finish', { latencyMs: Math.round(part.latencyMs), usage: part.usage, problem: part.problem?.message });
        }
      }
    } catch (error) {
      if (!signal.aborted) console.error(error);
      await send('error', RlpaError.isInstance(error) ? error.code : 'internal');
    }
  });
});

app.get('/profile', async (c) => c.json(await knownOf(userOf(c))));
app.delete('/profile', async (c) => c.json({ erased: await agent.erase(userOf(c)) }));

/** For each slot what holds now and what held before, with the message that it rests on, divided around the user's words. */
async function knownOf(userId: string) {
  const { items = [], turns = [] } = (await agent.export(userId)) ?? {};
  return Object.values(schema.slots).map(({ key, label }) => ({
    label,
    items: items
      .filter(({ slot }) => slot === key)
      .map(({ text, source, evidence, validTo }) => {
        const message = turns.find(({ id }) => id === evidence?.messageId)?.message;
        const quote = evidence && message && [message.slice(0, evidence.start), evidence.text, message.slice(evidence.end)];
        return { text, source, quote, past: validTo !== undefined };
      }),
  }));
}

function userOf(c: Context): string {
  const known = getCookie(c, 'user');
  if (known) return known;
  const user = crypto.randomUUID();
  setCookie(c, 'user', user, { httpOnly: true, sameSite: 'Strict' });
  return user;
}

const server = serve({ fetch: app.fetch, hostname: '127.0.0.1', port: Number(process.env.PORT ?? 8787) }, ({ port }) =>
  console.log(`Open http://127.0.0.1:${port}`),
);
untilInterrupted(server, ending, dispose);
