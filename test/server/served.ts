import OpenAI from 'openai';
import { transcriptPrompt } from '../../src/agent/index';
import type { LocalPolicy } from '../../src/policy/index';
import { ProfileSchema } from '../../src/profile/index';
import { type AgentServer, type RequestRecord, type ServeAgentOptions, serveAgent } from '../../src/server/index';
import { type ScriptedChatModel, scriptedChatModel } from '../../src/testing/index';
import { instruction } from '../integration/micro-policy';

export interface Served {
  readonly server: AgentServer;
  readonly client: OpenAI;
  /** One for each request that is over. */
  readonly records: RequestRecord[];
}

const open: AgentServer[] = [];

/** Serves a model for a test; `closeAll` ends all servers. */
export async function serve(options: Partial<ServeAgentOptions> & Pick<ServeAgentOptions, 'model'>): Promise<Served> {
  const records: RequestRecord[] = [];
  const server = await serveAgent({
    schema: ProfileSchema.standard,
    modelName: 'test',
    onRequest: (record) => records.push(record),
    ...options,
  });
  open.push(server);
  return { server, client: clientOf(server, options.token), records };
}

export function clientOf({ url }: AgentServer, apiKey = 'unused'): OpenAI {
  return new OpenAI({ baseURL: url, apiKey, maxRetries: 0 });
}

export function servePolicy(policy: LocalPolicy, options: Partial<ServeAgentOptions> = {}): Promise<Served> {
  return serve({ model: policy.asChatModel(), prompt: transcriptPrompt({ instruction }), ...options });
}

/** A scripted model that answers only when the test says so. */
export function heldModel(text: string): { readonly model: ScriptedChatModel; release(): void } {
  let release = () => {};
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  return { model: scriptedChatModel(() => held.then(() => text)), release };
}

export async function closeAll(): Promise<void> {
  await Promise.all(open.splice(0).map((server) => server.close()));
}

/** Waits until something holds that has no event. */
export async function until(holds: () => boolean, what: string): Promise<void> {
  for (let tries = 0; !holds(); tries++) {
    if (tries > 1000) throw new Error(`Waited in vain until ${what}.`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
