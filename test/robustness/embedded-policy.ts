import { cpuDevice } from '../../src/device/cpu/index';
import { demonstrationEnvironment, environmentFor } from '../../src/experiments/environments';
import { findPeople } from '../../src/experiments/people';
import { recipeFor, warmStarts } from '../../src/experiments/recipes';
import { schemaOf, tinySetting } from '../../src/experiments/setting';
import { warmStart } from '../../src/experiments/warm-start';
import { type PPOMetrics, PPOTrainer } from '../../src/training/index';

export const setting = tinySetting('generated', 'tiny');
export const schema = schemaOf(setting);

const turns = 5;
const iterations = 12;

/**
 * The embedded policy, taken through both parts of its recipe at a small size: half the width, 2,400 exercises and 400 demonstrations, then
 * twelve iterations of PPO over 48 dialogues each, with the recipe's own users, rewards and options. There are twelve users: they are all that
 * it knows.
 */
export async function trainEmbeddedPolicy(seed: number) {
  const recipe = recipeFor(setting);
  const people = { people: 'generated' } as const;
  const { training: users } = await findPeople({ ...people, profile: setting.profile, seed, users: 12, evalUsers: 4 });
  const policy = await warmStart({
    setting,
    environment: demonstrationEnvironment(setting, people, turns),
    personas: users,
    plan: {
      ...warmStarts.generated,
      hiddenSize: 64,
      intermediateSize: 128,
      vocabularySize: 1024,
      exercises: { count: 2400, learningRate: 8e-3 },
      demonstrations: { count: 400, learningRate: 4e-3 },
    },
    seed,
    maxNewTokens: recipe.maxNewTokens,
    device: async () => cpuDevice(),
  });
  const environment = environmentFor(setting, people, { turns, reward: 'both', profileWeight: recipe.profileWeight });
  const trainer = new PPOTrainer({ ...recipe.ppo, policy, environment, personas: users, seed });
  const metrics: PPOMetrics[] = [];
  trainer.on('iteration', (event) => metrics.push(event.metrics));
  await trainer.train({ iterations });
  return { policy, users, metrics };
}
