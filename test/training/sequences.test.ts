import { describe, expect, it } from 'vitest';
import { exampleSequences, joinTurns, layOutDialogue } from '../../src/training/index';
import { encode, stopToken, TabularPolicy } from './tabular-policy';
import { echo, scored, ToyEnvironment, toyPersonas } from './toy-environment';

const ids = (...values: number[]) => Int32Array.from(values);

describe('turns as token sequences', () => {
  const first = { prompt: ids(1, 2), completion: ids(3, 4) };

  it('are one sequence while each prompt begins with all that came before', () => {
    const { sequences, spans } = joinTurns([first, { prompt: ids(1, 2, 3, 4, 5), completion: ids(6) }], 'keep');
    expect(sequences.map((tokens) => [...tokens])).toEqual([[1, 2, 3, 4, 5, 6]]);
    expect(spans).toEqual([
      { sequence: 0, start: 2, length: 2 },
      { sequence: 0, start: 5, length: 1 },
    ]);
  });

  it('start a new sequence where history was rewritten', () => {
    const { sequences, spans } = joinTurns([first, { prompt: ids(1, 2, 9), completion: ids(6) }], 'any');
    expect(sequences.map((tokens) => [...tokens])).toEqual([
      [1, 2, 3, 4],
      [1, 2, 9, 6],
    ]);
    expect(spans[1]).toEqual({ sequence: 1, start: 3, length: 1 });
  });

  it('are refused where kept history is not kept, naming the turn and the position', () => {
    expect(() => joinTurns([first, { prompt: ids(1, 2, 3, 9, 5), completion: ids(6) }], 'keep')).toThrow(
      expect.objectContaining({ code: 'training-failed', details: { turn: 2, position: 3 } }),
    );
    expect(() => joinTurns([first, { prompt: ids(1, 2, 3), completion: ids(6) }], 'keep')).toThrow(/found the end/);
  });

  it('are refused without a token', () => {
    expect(() => joinTurns([{ prompt: ids(1), completion: ids() }], 'any')).toThrow(expect.objectContaining({ code: 'training-failed' }));
  });
});

describe('a dialogue laid out for training', () => {
  const policy = new TabularPolicy();
  const play = async (options: Partial<ConstructorParameters<typeof ToyEnvironment>[0]>) => {
    const environment = new ToyEnvironment({ turns: 3, reward: echo, ...options });
    const [episode] = await environment.rollout({ policy, personas: toyPersonas.slice(0, 1), seed: 5 });
    return { episode: episode!, layout: layOutDialogue(episode!, policy, environment.history === 'keep' ? 'keep' : 'any') };
  };

  it('masks exactly the tokens that were sampled', async () => {
    const { episode, layout } = await play({});
    expect(layout.sequences).toHaveLength(1);
    const { tokens, actionMask } = layout.sequences[0]!.scored;
    const masked = [...tokens].filter((_, t) => actionMask[t]);
    expect(masked).toEqual(episode.turns.flatMap(({ action }) => [...action.tokens!.completion]));
    expect(actionMask[0]).toBe(0);
    expect(layout.after).toBe('end');
  });

  it('reads the value of the next state after the last sampled token, in the same sequence', async () => {
    const { episode, layout } = await play({ end: 'truncated' });
    expect(layout.sequences).toHaveLength(1);
    const { scored: sequence, length } = layout.sequences[0]!;
    const prompt = policy.encodePrompt(episode.nextState!.messages);
    expect(layout.after).toEqual({ sequence: 0, start: prompt.length, length: 1 });
    expect([...sequence.tokens.subarray(0, prompt.length)]).toEqual([...prompt]);
    expect(sequence.actionMask[prompt.length]).toBe(1);
    const last = layout.turns.at(-1)!.span;
    expect(length).toBe(last.start + last.length);
  });

  it('has one sequence a turn, and one for the next state, when history is stripped', async () => {
    const { layout } = await play({ end: 'truncated', history: 'strip' });
    expect(layout.turns.map(({ span }) => span.sequence)).toEqual([0, 1, 2]);
    expect(layout.after).toMatchObject({ sequence: 3 });
    expect(layout.sequences[3]!.length).toBe(0);
  });

  it('does not know what would have followed a dialogue that failed', async () => {
    const { layout } = await play({ end: 'failed' });
    expect(layout.after).toBe('unknown');
  });

  it('gives every alternative a sequence and a reward of its own', async () => {
    const { episode } = await play({});
    const [turn, ...rest] = episode.turns;
    const [other] = await policy.act([{ ...turn!.state, seed: 99 }]);
    const alternative = { action: other!, profile: turn!.profile, reply: other!.text, reward: scored(0.25) };
    const layout = layOutDialogue({ ...episode, turns: [{ ...turn!, alternatives: [alternative] }, ...rest] }, policy, 'keep');
    expect(layout.turns).toHaveLength(3);
    expect(layout.alternatives).toHaveLength(1);
    const { span, reward, insteadOf } = layout.alternatives[0]!;
    expect({ insteadOf, total: reward.total }).toEqual({ insteadOf: 0, total: 0.25 });
    const { tokens } = layout.sequences[span.sequence]!.scored;
    expect([...tokens.subarray(span.start)]).toEqual([...other!.tokens!.completion]);
  });

  it('refuses a policy that records no tokens', async () => {
    const { episode } = await play({});
    const turns = episode.turns.map((turn) => ({ ...turn, action: { ...turn.action, tokens: undefined } }));
    expect(() => layOutDialogue({ ...episode, turns }, policy, 'keep')).toThrow(expect.objectContaining({ code: 'training-failed' }));
  });
});

describe('an example to be imitated', () => {
  const policy = new TabularPolicy();
  const messages = [
    { role: 'user', content: 'a' },
    { role: 'assistant', content: 'bc' },
    { role: 'user', content: 'd' },
    { role: 'assistant', content: 'e' },
  ] as const;

  it('is the sequence that a rollout of the same dialogue gives', () => {
    const rollout = joinTurns(
      [
        { prompt: policy.encodePrompt(messages.slice(0, 1)), completion: policy.encodeAssistant('bc') },
        {
          prompt: policy.encodePrompt([messages[0], { ...messages[1], tokens: [...encode('bc'), stopToken] }, messages[2]]),
          completion: policy.encodeAssistant('e'),
        },
      ],
      'keep',
    );
    const sequences = exampleSequences({ messages }, policy);
    expect(sequences.map(({ tokens }) => tokens)).toEqual(rollout.sequences);
    const masked = [...sequences[0]!.tokens].filter((_, t) => sequences[0]!.actionMask[t]);
    expect(masked).toEqual([...encode('bc'), stopToken, ...encode('e'), stopToken]);
  });

  it('teaches its last message only, if asked to', () => {
    const [sequence] = exampleSequences({ messages, targets: 'last' }, policy);
    const masked = [...sequence!.tokens].filter((_, t) => sequence!.actionMask[t]);
    expect(masked).toEqual([...encode('e'), stopToken]);
  });
});
