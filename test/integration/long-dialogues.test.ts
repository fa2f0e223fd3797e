import { expect, it } from 'vitest';
import { cpuDevice } from '../../src/device/cpu/index';
import type { Episode } from '../../src/environment/index';
import { LocalPolicy } from '../../src/policy/index';
import { type PPOMetrics, PPOTrainer, type TrainingWarning } from '../../src/training/index';
import { microConfig, microEnvironment, microTokenizer, personas } from './micro-policy';

it('PPO goes on when dialogues grow longer than the policy can read: it truncates those, masks their last turns, and says so', async () => {
  const config = microConfig({ maxPositions: 200 });
  const policy = new LocalPolicy(cpuDevice({ threads: 2 }), { config, tokenizer: microTokenizer() }, { maxNewTokens: 40 });
  const trainer = new PPOTrainer({ policy, environment: microEnvironment(), personas, dialogues: 8, epochs: 1, minibatches: 1 });
  const episodes: Episode[] = [];
  const metrics: PPOMetrics[] = [];
  const warnings: TrainingWarning[] = [];
  trainer.on('rollout', (event) => episodes.push(...event.episodes));
  trainer.on('iteration', (event) => metrics.push(event.metrics));
  trainer.on('warning', (warning) => warnings.push(warning));
  try {
    await trainer.train({ iterations: 1 });
  } finally {
    await policy.dispose();
  }
  const tooLong = episodes.filter((episode) => episode.tooLong);
  expect(tooLong.length).toBeGreaterThan(0);
  for (const { end, nextState, turns } of tooLong) {
    expect([end, nextState]).toEqual(['truncated', undefined]);
    for (const { action } of turns) {
      const { prompt, completion } = action.tokens!;
      expect(prompt.length + completion.length).toBeLessThanOrEqual(200);
    }
  }
  const tokens = ({ turns }: Episode) => turns.map(({ action }) => action.tokens!.completion.length);
  const trained = episodes.flatMap((episode) => (episode.tooLong ? tokens(episode).slice(0, -1) : tokens(episode)));
  expect(metrics[0]).toMatchObject({ tooLongEpisodes: tooLong.length, trainableTokens: trained.reduce((sum, each) => sum + each, 0) });
  expect(warnings.map(({ code }) => code)).toContain('too-long-episodes');
});
