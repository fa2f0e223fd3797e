import { PersonalizedAgent, transcriptPrompt } from '../agent/index';
import type { DialogueEnvironment } from '../environment/index';
import type { LocalPolicy } from '../policy/index';
import { Random } from '../random';
import type { DialogueMessage, Persona } from '../simulation/index';
import type { AgentTurnRecord, ExperimentProgress } from './experiment';

/** A few turns of the trained policy as an app would use it: through `PersonalizedAgent`, with one of the users it never met. */
export async function takeTurns(options: {
  readonly policy: LocalPolicy;
  readonly environment: DialogueEnvironment;
  readonly persona: Persona;
  readonly temperature: number;
  readonly turns: number;
  readonly seed: number;
  readonly signal?: AbortSignal;
  readonly onProgress?: (event: ExperimentProgress) => void;
}): Promise<AgentTurnRecord[]> {
  const { policy, environment, persona, temperature, turns, seed, signal, onProgress } = options;
  const { schema, instruction, history } = environment;
  const agent = new PersonalizedAgent({
    schema,
    model: policy.asChatModel({ seed, temperature }),
    prompt: transcriptPrompt({ instruction, history }),
    form: 'text',
  });
  const session = environment.user.begin(persona, new Random(seed).split('agent'));
  const dialogue: DialogueMessage[] = [];
  const records: AgentTurnRecord[] = [];
  for (let turn = 0; turn < turns; turn++) {
    onProgress?.({ phase: 'chat', done: turn, total: turns, unit: 'turns' });
    const { text, done } = await session.next(dialogue, { signal });
    const { reply, profile } = await agent.respond({ userId: persona.id, message: text, signal });
    dialogue.push({ role: 'user', content: text }, { role: 'assistant', content: reply });
    records.push({ message: text, reply, profile: profile.toJSON() as Record<string, unknown> });
    if (done) break;
  }
  onProgress?.({ phase: 'chat', done: records.length, total: records.length, unit: 'turns' });
  return records;
}
