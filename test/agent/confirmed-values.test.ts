import { describe, expect, it } from 'vitest';
import { PersonalizedAgent } from '../../src/agent/index';
import { scriptedChatModel } from '../../src/testing/index';
import { fixed, schema, turnJson, turnText } from './fixtures';

/** An agent that concluded from the first message that the user is a nurse, and writes these answers after it. */
async function concluded(form: 'text' | 'json', ...answers: string[]) {
  const first = form === 'json' ? turnJson([{ op: 'set', slot: 'occupation', value: 'nurse', evidence: 'ward' }], 'Hi') : isNurse;
  const model = scriptedChatModel([first, ...answers], { structuredOutput: form === 'json' });
  const agent = new PersonalizedAgent({ schema, model, repair: false, ...fixed().options });
  await agent.respond({ userId: 'u1', message: 'Night shift again, the ward was full.' });
  const changes: unknown[] = [];
  agent.on('change', (event) => changes.push(event));
  const say = (message: string) => agent.respond({ userId: 'u1', message });
  return { agent, changes, say, occupations: async () => (await agent.history('u1')).filter(({ slot }) => slot === 'occupation') };
}

const isNurse = turnText({ occupation: 'nurse' }, 'Hi');
const nothingNew = { text: isNurse, json: turnJson([], 'Hi') };
const isPilot = {
  text: turnText({ occupation: 'pilot' }, 'Hi'),
  json: turnJson([{ op: 'set', slot: 'occupation', value: 'pilot', evidence: null }], 'Hi'),
};

describe.each(['text', 'json'] as const)('a value that was inferred, from answers in %s', (form) => {
  it('is stated, in its place, from when the user says it', async () => {
    const { say, occupations, changes } = await concluded(form, nothingNew[form]);
    const [before] = await occupations();
    expect(before).toMatchObject({ source: 'inferred' });
    const turn = await say('I am a nurse, by the way.');
    expect(turn.changes).toEqual([]);
    expect(changes).toEqual([]);
    expect(await occupations()).toEqual([
      { ...before, source: 'stated', confidence: 1, evidence: { messageId: turn.messageId, start: 7, end: 12, text: 'nurse' } },
    ]);
  });

  it('is stated when an edit enters it, without the evidence of the conclusion', async () => {
    const { agent, occupations, changes } = await concluded(form);
    const [{ evidence: _, ...before }] = (await occupations()) as [Awaited<ReturnType<typeof occupations>>[0]];
    await agent.edit('u1', [{ op: 'set', slot: 'occupation', value: 'nurse' }]);
    expect(changes).toEqual([]);
    expect(await occupations()).toEqual([{ ...before, source: 'stated', confidence: 1 }]);
  });

  it('does not give way to a guess once it is stated', async () => {
    const { say, occupations } = await concluded(form, nothingNew[form], isPilot[form]);
    await say('I am a nurse, by the way.');
    const { profile, rejected } = await say('Lovely weather.');
    expect(profile.values.occupation).toBe('nurse');
    expect(rejected).toMatchObject([{ slot: 'occupation', value: 'pilot' }]);
    expect(await occupations()).toHaveLength(1);
  });

  it('stays inferred where the answer could not be read, or takes it back', async () => {
    const removal = { text: turnText({}, 'Hi'), json: turnJson([{ op: 'remove', slot: 'occupation', value: 'nurse' }], 'Hi') };
    const { say, occupations } = await concluded(form, '', removal[form]);
    await say('I am not a nurse.');
    expect(await occupations()).toMatchObject([{ source: 'inferred' }]);
    await say('I am not a nurse!');
    expect(await occupations()).toMatchObject([{ source: 'inferred', validTo: expect.any(String) }]);
  });
});

describe('a sensitive value that was inferred', () => {
  it('is left alone in a turn without consent', async () => {
    const agent = new PersonalizedAgent({ schema, model: scriptedChatModel(() => turnText({ health: ['asthma'] }, 'Hi')) });
    await agent.respond({ userId: 'u1', message: 'I forgot my inhaler.', consent: true });
    const health = async () => (await agent.history('u1')).map(({ source }) => source);
    await agent.respond({ userId: 'u1', message: 'Is asthma common?' });
    expect(await health()).toEqual(['inferred']);
    await agent.respond({ userId: 'u1', message: 'I have asthma.', consent: true });
    expect(await health()).toEqual(['stated']);
  });
});

describe('a profile that is inferred after the reply', () => {
  it('says what is stated by now, and the reply alone does not', async () => {
    const sources: string[][] = [];
    const history = async () => (await agent.history('u1')).map(({ source }) => source as string);
    const model = scriptedChatModel(async ({ messages }) => {
      if (!messages.at(-1)!.content.includes('got your reply')) return 'Hi';
      sources.push(await history());
      return isNurse;
    });
    const agent = new PersonalizedAgent({ schema, model, mode: 'after-reply' });
    for (const message of ['The ward was full.', 'I am a nurse.']) {
      await agent.respond({ userId: 'u1', message });
      await agent.settled();
    }
    expect(sources).toEqual([[], ['inferred']]);
    expect(await history()).toEqual(['stated']);
  });
});
