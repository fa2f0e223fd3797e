import { describe, expect, it, vi } from 'vitest';
import { cpuDevice } from '../../src/device/cpu/index';
import type { Device } from '../../src/device/index';
import { demonstrate } from '../../src/experiments/demonstrations';
import { demonstrationEnvironment } from '../../src/experiments/environments';
import { exercises } from '../../src/experiments/exercises';
import { findPeople } from '../../src/experiments/people';
import { warmStartFor } from '../../src/experiments/recipes';
import { schemaOf, tinySetting } from '../../src/experiments/setting';
import { tinyTokenizer } from '../../src/experiments/tiny-tokenizer';
import { warmStart } from '../../src/experiments/warm-start';
import { parseTurn } from '../../src/profile/index';
import type { Persona } from '../../src/simulation/index';
import { describeWithShared, sharedPath } from '../shared';

const setting = tinySetting('generated', 'tiny');
const schema = schemaOf(setting);
const people = await findPeople({ people: 'generated', profile: setting.profile, seed: 1, users: 100, evalUsers: 30 });

describe('the material of the warm start', () => {
  it('is in the form, word for word', async () => {
    const environment = demonstrationEnvironment(setting, { people: 'generated' }, 6);
    const material = [
      ...exercises({ schema, instruction: setting.instruction, personas: people.training, count: 100, seed: 1 }),
      ...(await demonstrate({ environment, personas: people.training, count: 100, seed: 1 })),
    ];
    const written = material.flatMap(({ messages }) => messages.filter(({ role }) => role === 'assistant'));
    expect(written.length).toBeGreaterThan(200);
    for (const { content } of written) expect(parseTurn(schema, content)).toMatchObject({ ok: true });
  });

  it('shows partners with good and with bad habits: most of them note less than they were told', async () => {
    const environment = demonstrationEnvironment(setting, { people: 'generated' }, 8);
    const dialogues = (await demonstrate({ environment, personas: people.training, count: 200, seed: 2 })).filter(
      ({ messages }) => messages.length > 12,
    );
    const lines = dialogues.map(
      ({ messages }) =>
        messages
          .at(-1)!
          .content.split('\n')
          .filter((line) => line.startsWith('- ')).length,
    );
    expect(lines.filter((count) => count <= 1).length / lines.length).toBeGreaterThan(0.5);
    expect(lines.some((count) => count >= 4)).toBe(true);
  });

  it('is the same for one seed and another for another', async () => {
    const make = (seed: number) => JSON.stringify(exercises({ schema, instruction: '', personas: people.training, count: 20, seed }));
    expect(make(3)).toBe(make(3));
    expect(make(3)).not.toBe(make(4));
  });

  it('gives the labels of the slots tokens of their own', () => {
    const texts = exercises({ schema, instruction: '', personas: people.training, count: 300, seed: 1 }).flatMap(({ messages }) =>
      messages.map(({ content }) => content),
    );
    const tokenizer = tinyTokenizer(schema, texts, 1024);
    const line = tokenizer.encode('<profile>\n- Occupation: nurse');
    expect(line[1]).toBe(tokenizer.tokenId('\n- Occupation:'));
    expect(tokenizer.decode(line)).toBe('<profile>\n- Occupation: nurse');
  });
});

describe('a warm start that fails', () => {
  it('leaves no device behind, nor the second one of a policy that was sharpened', async () => {
    const small = tinySetting('generated', 'micro');
    const plan = warmStartFor(small);
    const disposals: (() => unknown)[] = [];
    const device = async (): Promise<Device> => {
      const opened = cpuDevice();
      disposals.push(vi.spyOn(opened, 'dispose'));
      if (disposals.length === 2)
        vi.spyOn(opened, 'copy').mockImplementation(() => {
          throw new Error('out of memory');
        });
      return opened;
    };
    const started = warmStart({
      setting: small,
      environment: demonstrationEnvironment(small, { people: 'generated' }, 2),
      personas: people.training.slice(0, 4),
      plan: { ...plan, exercises: { ...plan.exercises, count: 16 }, demonstrations: { ...plan.demonstrations, count: 4 }, sharpness: 2 },
      seed: 1,
      maxNewTokens: 8,
      device,
    });
    await expect(started).rejects.toThrow('out of memory');
    expect(disposals).toHaveLength(2);
    for (const dispose of disposals) expect(dispose).toHaveBeenCalled();
  });
});

describe('the people of an experiment', () => {
  it('are never both trained with and measured with', () => {
    const of = (personas: typeof people.training) => new Set(personas.map(({ profile }) => JSON.stringify(profile.toJSON())));
    const training = of(people.training);
    for (const profile of of(people.heldOut)) expect(training.has(profile)).toBe(false);
    expect(people.heldOut).toHaveLength(30);
  });
});

describeWithShared('recorded people', 'data/synthetic-persona-chat/valid.csv', () => {
  it('are divided by dialogue: both speakers of 100 are measured with, and 900 are there to train with', async () => {
    const csv = sharedPath('data/synthetic-persona-chat/valid.csv');
    const recorded = await findPeople({ people: { csv }, profile: 'facts', seed: 1, users: 9999, evalUsers: 9999 });
    expect(recorded.heldOut).toHaveLength(200);
    const dialogueOf = (id: string) => id.split('/')[0];
    expect(new Set(recorded.heldOut.map(({ id }) => dialogueOf(id))).size).toBe(100);
    const trained = new Set(recorded.training.map(({ id }) => dialogueOf(id)));
    for (const { id } of recorded.heldOut) expect(trained.has(dialogueOf(id))).toBe(false);
  });

  it('are left out of the training where they have the persona of somebody who is measured with', async () => {
    const csv = sharedPath('data/synthetic-persona-chat/valid.csv');
    const recorded = await findPeople({ people: { csv }, profile: 'facts', seed: 1, users: 9999, evalUsers: 9999 });
    const factsOf = ({ profile }: Persona) =>
      JSON.stringify(
        profile
          .items()
          .map(({ key }) => key)
          .sort(),
      );
    const measured = new Set(recorded.heldOut.map(factsOf));
    expect(recorded.training.filter((persona) => measured.has(factsOf(persona)))).toEqual([]);
    // 541 different personas have the 2,000 speakers of this file
    expect(recorded.training.length).toBeGreaterThan(1000);
  });
});
