import type { DialogueEnvironment } from '../environment/index';
import { formatTurn, type ProfileItem, type SlotDefinition } from '../profile/index';
import { Random } from '../random';
import type { Persona } from '../simulation/index';
import type { SFTExample } from '../training/index';
import { noteTaking, plainReply } from './plain-partner';

/**
 * Dialogues for the warm start, in which a partner keeps the form but does not do the task: it writes down only some of what the user
 * told, forgets some of it again, and replies at random. What it writes is always the user's own; a policy that learns from it can
 * write valid turns, and has everything still to learn about which.
 */
export async function demonstrate(options: {
  readonly environment: DialogueEnvironment;
  readonly personas: readonly Persona[];
  readonly seed: number;
  readonly signal?: AbortSignal;
}): Promise<SFTExample[]> {
  const { environment, personas, seed, signal } = options;
  const slots = environment.schema.slots as Readonly<Record<string, SlotDefinition>>;
  const cardinalityOf = (slot: string) => slots[slot]!.cardinality;
  const examples: SFTExample[] = [];
  for (const [index, persona] of personas.entries()) {
    const random = new Random(seed).split('demonstration', index);
    const manner = noteTaking(random);
    let noted: ProfileItem[] = [];
    let known = new Set<string>();
    let state = await environment.reset({ persona, seed, id: `demonstration ${index}`, signal });
    for (;;) {
      const fresh = state.disclosed.filter((item) => !known.has(item.key));
      known = new Set(state.disclosed.map((item) => item.key));
      noted = [...noted.filter(() => random.chance(manner.keeps)), ...fresh.filter(() => random.chance(manner.notes))];
      const profile = environment.schema
        .empty()
        .with(noted.map(({ slot, value }) => ({ op: cardinalityOf(slot) === 'many' ? 'add' : 'set', slot, value })));
      const reply = plainReply({ message: state.user.text, disclosed: fresh, random });
      const text = formatTurn(profile, reply);
      const { messages } = state.policyState;
      const result = await environment.step(state, { text, finishReason: 'stop', usage: { inputTokens: 0, outputTokens: 0 } }, { signal });
      if (result.end !== undefined || result.state === undefined) {
        examples.push({ messages: [...messages, { role: 'assistant', content: text }] });
        break;
      }
      state = result.state;
    }
  }
  return examples;
}
