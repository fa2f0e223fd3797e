/** The clients of `bench/serve.ts`, in a process of their own: they ask as fast as they are answered. */
import OpenAI from 'openai';

export interface ClientsJob {
  readonly url: string;
  readonly clients: number;
  readonly requests: readonly { readonly message: string; readonly seed: number }[];
  readonly stream: boolean;
  readonly users: string;
}

export interface ClientsReport {
  readonly seconds: number;
  readonly tokens: number;
  readonly clientCpu: number;
}

process.on('message', async ({ url, clients, requests, stream, users }: ClientsJob) => {
  const client = new OpenAI({ baseURL: url, apiKey: 'none', maxRetries: 0 });
  let next = 0;
  let tokens = 0;
  const ask = async (index: number) => {
    const { message, seed } = requests[index]!;
    const body = { model: 'bench', messages: [{ role: 'user' as const, content: message }], user: `${users} ${index}`, seed };
    if (!stream) {
      const { usage } = await client.chat.completions.create(body);
      tokens += usage!.completion_tokens;
      return;
    }
    const parts = await client.chat.completions.create({ ...body, stream: true, stream_options: { include_usage: true } });
    for await (const { usage } of parts) tokens += usage?.completion_tokens ?? 0;
  };
  const startedAt = performance.now();
  const cpu = process.cpuUsage();
  await Promise.all(
    Array.from({ length: clients }, async () => {
      while (next < requests.length) await ask(next++);
    }),
  );
  const { user, system } = process.cpuUsage(cpu);
  process.send!({ seconds: (performance.now() - startedAt) / 1000, tokens, clientCpu: (user + system) / 1e6 } satisfies ClientsReport);
});
