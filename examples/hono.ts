/**
 * A chatbot behind HTTP, with Hono: it remembers each of its users.
 *
 *   RLPA_POLICY=runs/tiny/policy npx tsx examples/hono.ts
 *   curl localhost:8787/users/ada/messages --json '{"message": "I work as a nurse."}'
 *   curl localhost:8787/users/ada
 *   curl -X DELETE localhost:8787/users/ada
 *
 * In an app of your own the user's name comes from who is logged in, never from the address.
 */
import { serve } from '@hono/node-server';
import { Hono } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import { HTTPException } from 'hono/http-exception';
import { memoryStore, PersonalizedAgent, RlpaError } from 'rlpa/agent';
import { z } from 'zod';
import { openSpeaker, schema } from './speaker';
import { untilInterrupted } from './until-interrupted';

const { model, prompt, dispose } = await openSpeaker();
const agent = new PersonalizedAgent({ schema, model, prompt, store: memoryStore() });
const app = new Hono();
const ending = new AbortController();

app.post('/users/:id/messages', bodyLimit({ maxSize: 16_384 }), async (c) => {
  const body = z.object({ message: z.string().trim().min(1).max(4_000) }).safeParse(await c.req.json().catch(() => undefined));
  if (!body.success) return c.json({ error: 'Expected JSON with a "message".' }, 400);
  const signal = AbortSignal.any([c.req.raw.signal, ending.signal]); // the client left, or the server ends
  const turn = await agent.respond({ userId: c.req.param('id'), message: body.data.message, signal, timeoutMs: 30_000 });
  return c.json({ reply: turn.reply, profile: turn.profile.toJSON(), changes: turn.changes, usage: turn.usage });
});

app.get('/users/:id', async (c) => c.json((await agent.profile(c.req.param('id'))).toJSON()));
app.delete('/users/:id', async (c) => c.json({ erased: await agent.erase(c.req.param('id')) }));

const statusOf: Partial<Record<string, 503 | 504>> = { aborted: 503, timeout: 504 };
app.onError((error, c) => {
  if (error instanceof HTTPException) return error.getResponse();
  const code = RlpaError.isInstance(error) ? error.code : 'internal';
  if (code !== 'aborted') console.error(error);
  return c.json({ error: code }, statusOf[code] ?? 502);
});

const server = serve({ fetch: app.fetch, hostname: '127.0.0.1', port: Number(process.env.PORT ?? 8787) }, ({ port }) =>
  console.log(`Listening on http://127.0.0.1:${port}`),
);
untilInterrupted(server, ending, dispose);
