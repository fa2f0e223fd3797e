import { afterEach, describe, expect, it } from 'vitest';
import type { DialogueEnvironment } from '../../src/environment/index';
import type { LocalPolicy } from '../../src/policy/index';
import { formatTurn } from '../../src/profile/index';
import { DualReward } from '../../src/reward/index';
import { type Persona, replayBehaviour, SimulatedUser } from '../../src/simulation/index';
import { exampleSequences, joinTurns, PPOTrainer, type SFTExample, SFTTrainer } from '../../src/training/index';
import { instruction, microEnvironment, microPolicy, personas, schema } from './micro-policy';

/** Eight recorded people, whose messages tell which of them it is, and what is to be answered. */
const people = personas.slice(0, 8).map((persona, index) => {
  const items = persona.profile.items().slice(0, 2);
  const name = ['Ada', 'Ben', 'Cleo', 'Dan', 'Eve', 'Finn', 'Gus', 'Hal'][index]!;
  const recorded: Persona = { ...persona, messages: [`Hello, ${name} here.`, `I am thinking of ${items[0]!.text}.`, 'That is all.'] };
  const answers = [{}, { interests: [items[0]!.text] }, { interests: [items[0]!.text, items[1]!.text] }].map((values, turn) =>
    formatTurn(schema.profile(values), `${turn + 1}, ${name}! ${['Where do you live?', 'I see.', 'Tell me more…'][(index + turn) % 3]}`),
  );
  return { persona: recorded, answers };
});

const examples: SFTExample[] = people.map(({ persona, answers }) => ({
  messages: [
    { role: 'system', content: instruction },
    ...answers.flatMap((content, turn) => [
      { role: 'user' as const, content: persona.messages![turn]! },
      { role: 'assistant' as const, content },
    ]),
  ],
}));

const opened: LocalPolicy[] = [];
afterEach(() => Promise.all(opened.splice(0).map((policy) => policy.dispose())));

async function overfitted(
  targets: 'all' | 'last',
  set: readonly SFTExample[],
  epochs = 120,
): Promise<{ policy: LocalPolicy; loss: number }> {
  const policy = microPolicy({ seed: 2 });
  opened.push(policy);
  let loss = Number.POSITIVE_INFINITY;
  const trainer = new SFTTrainer({
    policy,
    examples: set.map((example) => ({ ...example, targets })),
    epochs,
    batchSize: 8,
    learningRate: 1e-2,
  });
  trainer.on('step', ({ metrics }) => {
    loss = metrics.loss;
  });
  await trainer.train();
  return { policy, loss };
}

function replay(history: DialogueEnvironment['history']): DialogueEnvironment {
  return microEnvironment({
    history,
    user: new SimulatedUser({ behaviour: replayBehaviour() }),
    reward: new DualReward({ parts: 'profile' }),
  });
}

describe('SFT on eight dialogues', () => {
  it('learns them by heart, and greedy rollouts against the same users write them word for word', async () => {
    const { policy, loss } = await overfitted('all', examples);
    expect(loss).toBeLessThan(0.01);

    const environment = replay('keep');
    const episodes = await environment.rollout({ policy, personas: people.map(({ persona }) => persona), seed: 0, temperature: 0 });
    expect(episodes.map(({ turns }) => turns.map(({ action }) => action.text))).toEqual(people.map(({ answers }) => answers));

    // what was trained on is, token for token, what the rollout reads and writes
    for (const [index, { turns }] of episodes.entries()) {
      const { sequences, spans } = joinTurns(
        turns.map(({ action }) => action.tokens!),
        'keep',
      );
      const [trained, ...more] = exampleSequences(examples[index]!, policy);
      expect(more).toEqual([]);
      expect(trained!.tokens).toEqual(sequences[0]);
      const written = spans.flatMap(({ start, length }) => Array.from({ length }, (_, i) => start + i));
      expect(Array.from(trained!.actionMask.keys()).filter((t) => trained!.actionMask[t])).toEqual(written);
    }
  });

  it('learns last messages only, from histories as they are stripped in rollouts', async () => {
    // turn by turn, as the environment with stripped history will show them
    const stripped = people.flatMap(({ persona, answers }) =>
      answers.map((content, turn): SFTExample => {
        const before = answers.slice(0, turn).flatMap((answer, k) => [
          { role: 'user' as const, content: persona.messages![k]! },
          { role: 'assistant' as const, content: k === turn - 1 ? answer : /<response>\n(.*)\n<\/response>/s.exec(answer)![1]! },
        ]);
        return {
          messages: [
            { role: 'system', content: instruction },
            ...before,
            { role: 'user', content: persona.messages![turn]! },
            { role: 'assistant', content },
          ],
        };
      }),
    );
    const { policy, loss } = await overfitted('last', stripped.slice(0, 9));
    expect(loss).toBeLessThan(0.01);
    const three = people.slice(0, 3);
    const episodes = await replay('strip').rollout({ policy, personas: three.map(({ persona }) => persona), seed: 0, temperature: 0 });
    expect(episodes.map(({ turns }) => turns.map(({ action }) => action.text))).toEqual(three.map(({ answers }) => answers));
  });
});

describe('PPO after SFT', () => {
  it('is the same whether the policy comes straight from it or was saved and opened in between: nothing of its optimiser is left', async () => {
    const { policy: straight } = await overfitted('all', examples.slice(0, 2), 3);
    const reopened = microPolicy({ weights: await straight.readWeights() });
    opened.push(reopened);
    const [first, second] = await Promise.all(
      [straight, reopened].map(async (policy) => {
        const options = { dialogues: 4, minibatches: 2, learningRate: 1e-3, seed: 1 };
        const environment = microEnvironment();
        await new PPOTrainer({ ...options, policy, environment, personas: personas.slice(0, 4) }).train({ iterations: 1 });
        return { optimizerStep: (await policy.exportState()).optimizerStep, weights: await policy.readWeights() };
      }),
    );
    expect(first).toEqual(second);
    expect(first!.optimizerStep).toBeGreaterThan(0);
  });
});
