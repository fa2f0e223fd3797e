/**
 * Who answers in the examples:
 *
 *   RLPA_POLICY=runs/tiny/policy   a policy that was trained on this machine; needs no network
 *   OPENAI_API_KEY=…               OpenAI, by default gpt-4o-mini; RLPA_MODEL names another
 *   OPENAI_BASE_URL=http://…/v1    any server that speaks OpenAI's protocol; RLPA_MODEL names its model
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type ChatModel, LocalPolicy, openAIChat, ProfileSchema, type PromptBuilder, slot, transcriptPrompt } from 'rlpa';
import { z } from 'zod';

/** What the embedded policy was trained to find out. With a language model, any slots will do. */
export const schema = ProfileSchema.define({
  interests: slot.one(z.string(), { label: 'Interest' }),
  educationBackground: slot.one(z.string(), { label: 'Education' }),
  personalityTraits: slot.one(z.string(), { label: 'Personality' }),
  occupation: slot.one(z.string(), { label: 'Occupation' }),
  maritalStatus: slot.one(z.string(), { label: 'Marital Status' }),
  location: slot.one(z.string(), { label: 'Location' }),
});

export interface Speaker {
  readonly model: ChatModel;
  /** A policy reads what it was trained on; a language model gets the agent's own prompt. */
  readonly prompt?: PromptBuilder;
  dispose(): Promise<void>;
}

export async function openSpeaker(): Promise<Speaker> {
  const { RLPA_POLICY, OPENAI_API_KEY, OPENAI_BASE_URL, RLPA_MODEL = 'gpt-4o-mini' } = process.env;
  if (RLPA_POLICY) {
    const { instruction, history } = JSON.parse(await readFile(join(RLPA_POLICY, 'rlpa.json'), 'utf8'));
    const policy = await LocalPolicy.load(RLPA_POLICY);
    return {
      // a policy this small talks best when it always says the likeliest thing
      model: policy.asChatModel({ temperature: 0 }),
      prompt: transcriptPrompt({ instruction, history }),
      dispose: () => policy.dispose(),
    };
  }
  if (OPENAI_API_KEY || OPENAI_BASE_URL) {
    return { model: openAIChat({ model: RLPA_MODEL, baseURL: OPENAI_BASE_URL, apiKey: OPENAI_API_KEY }), dispose: async () => {} };
  }
  console.error(`Nobody is there to answer. Either train a tiny policy on this machine, in four minutes or so, without a network:

  npm run build
  node dist/cli.js train --seed 1 --out runs/tiny
  export RLPA_POLICY=runs/tiny/policy

or ask a language model: set OPENAI_API_KEY, or OPENAI_BASE_URL and RLPA_MODEL for a server of your own.`);
  process.exit(1);
}
