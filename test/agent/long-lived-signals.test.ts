import { expect, it } from 'vitest';
import { PersonalizedAgent, type TurnRequest } from '../../src/agent/index';
import { RlpaError } from '../../src/errors';
import { scriptedChatModel } from '../../src/testing/index';
import { heldBy } from '../held-signal';
import { collect, json, schema, turnJson } from './fixtures';

type Turn = (agent: PersonalizedAgent, request: TurnRequest) => Promise<unknown>;

const answering = scriptedChatModel(({ jsonSchema }) => (jsonSchema ? turnJson([], 'Hi there, how are you?') : 'Hi'), json);
const failing = scriptedChatModel(() => {
  throw new RlpaError('model-failed', 'no idea');
}, json);

it.each<[string, Turn]>([
  ['is answered', (agent, request) => agent.respond(request)],
  ['is streamed', (agent, request) => collect(agent.stream(request))],
  [
    'is left early',
    async (agent, request) => {
      for await (const _ of agent.stream(request)) break;
    },
  ],
])('a turn that %s leaves nothing on signals that live longer', async (_, turn) => {
  const [ofRequests, ofProgram] = [new AbortController(), new AbortController()];
  for (const mode of ['one-call', 'after-reply'] as const) {
    for (const model of [answering, failing]) {
      const agent = new PersonalizedAgent({ schema, model, mode, signal: ofProgram.signal });
      for (let i = 0; i < 3; i++) await turn(agent, { userId: 'u1', message: 'Hello', signal: ofRequests.signal }).catch(() => {});
      await agent.settled();
      expect([heldBy(ofRequests.signal), heldBy(ofProgram.signal)]).toEqual([0, 0]);
    }
  }
});
