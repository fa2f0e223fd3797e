import { z } from 'zod';
import { PersonalizedAgent, type ProfileStore } from '../../src/agent/index';
import { ProfileSchema, slot } from '../../src/profile/index';
import { scriptedChatModel } from '../../src/testing/index';

const schema = ProfileSchema.define({ interests: slot.many(z.string()) });

/** An agent whose model adds one interest a turn, the one that the message names. */
export function addingAgent(store: ProfileStore): PersonalizedAgent {
  const model = scriptedChatModel(
    ({ messages }) => {
      const value = messages.at(-1)!.content.slice('I like '.length);
      return JSON.stringify({ changes: [{ op: 'add', slot: 'interests', value, evidence: null }], reply: `Tell me about ${value}.` });
    },
    { structuredOutput: true },
  );
  return new PersonalizedAgent({ schema, model, store, maxHistory: 10_000 });
}
