import type { ProfileSchema } from './schema';
import type { SlotDefinition } from './slot';
import { valueSchemas } from './value-schema';
import { valueWords } from './value-words';

/**
 * Tells a chat model the text form of a turn and the slots that it may fill: all of the schema's, unless told which.
 *
 * @example
 * import { formatInstructions, openAIChat, ProfileSchema } from 'rlpa';
 * const system = formatInstructions(ProfileSchema.standard);
 * const messages = [{ role: 'system', content: system }, { role: 'user', content: 'Night shift again.' }] as const;
 * const { text } = await openAIChat({ model: 'gpt-4o-mini' }).generate({ messages });
 */
export function formatInstructions(schema: ProfileSchema, slots: readonly SlotDefinition[] = Object.values(schema.slots)): string {
  return `Every time you answer, first write down everything you know about the user by now, then reply. Use exactly this form:

<profile>
${slots.map((slot) => `- ${slot.label}: ${slot.cardinality === 'many' ? 'value; value' : 'value'}`).join('\n')}
</profile>

<response>
your reply to the user
</response>

The slots:
${describeSlots(slots)}

Rules:
- One line for each slot of which something is known. Leave out the others; never write "unknown".
- Only what the user said or what follows from it. Keep what you knew before unless the user contradicts it.
- Separate several values by "; ". Keep each value short.
- Nothing outside the two blocks, and no tags inside the reply.`;
}

/**
 * One line a slot: label, how many values of which kind, description.
 *
 * @example
 * import { describeSlots, ProfileSchema } from 'rlpa';
 * describeSlots([ProfileSchema.standard.slots.age]); // '- Age (one value: a whole number from 0 to 130)'
 */
export function describeSlots(slots: readonly SlotDefinition[]): string {
  const { values } = valueSchemas(slots);
  return slots
    .map((slot) => {
      const words = valueWords(values[slot.key]!);
      const kind =
        slot.cardinality === 'many' ? `any number of values${words ? `, each ${words}` : ''}` : `one value${words ? `: ${words}` : ''}`;
      return `- ${slot.label} (${kind}${slot.open ? ', for what fits no other slot' : ''})${slot.description ? `: ${slot.description}` : ''}`;
    })
    .join('\n');
}
