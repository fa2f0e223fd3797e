import type { Device, DeviceKind } from '../device/index';
import type { DialogueEnvironment } from '../environment/index';
import { checkKnown, invalidOption } from '../errors';
import { givenDevice, type LocalPolicy, openedDevice } from '../policy/index';
import type { Persona } from '../simulation/index';
import type { PPOHyperparameters } from '../training/index';
import { demonstrationEnvironment, environmentFor } from './environments';
import { type ExperimentProgress, type TinySize, tinySizes } from './experiment';
import { generatePeople } from './generated-people';
import { recipeFor, warmStartFor } from './recipes';
import { tinySetting } from './setting';
import { seedFor, warmStart } from './warm-start';

export type { TinySize };
export { tinySizes };

export interface TinyTaskOptions {
  /** `tiny` (the default) learns its task; `micro` shows that all works, on whatever computes. */
  readonly size?: TinySize | undefined;
  /** Of the people, the demonstrations, the new weights and the measurements. Default 1. */
  readonly seed?: number | undefined;
}

export interface WarmStartRequest {
  /**
   * Where the policy will live: `cpu` (the default, in Node), `webgpu`, `webgpu-f16`, or a device, which the policy owns from then on; a warm
   * start that fails disposes of it.
   */
  readonly device?: DeviceKind | Device | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((event: WarmStartProgress) => void) | undefined;
}

export interface WarmStartProgress extends Pick<ExperimentProgress, 'done' | 'total' | 'unit' | 'metrics'> {
  readonly phase: 'demonstrations' | 'warm-start';
}

/** The task that `rlpa demo` trains, in its parts. */
export interface TinyTask {
  readonly seed: number;
  /** Users to train with, and users of whom none has the profile of one of those, to measure with. */
  readonly training: readonly Persona[];
  readonly heldOut: readonly Persona[];
  /** The decision process of the training; its schema has six of the paper's ten slots, one value each. */
  readonly environment: DialogueEnvironment;
  /** The same with the rewards unweighted, to measure in, with this seed and temperature. */
  readonly measuring: { readonly environment: DialogueEnvironment; readonly seed: number; readonly temperature: number };
  /** Iterations of PPO, and what differs from `ppoDefaults`. */
  readonly iterations: number;
  readonly ppo: Partial<PPOHyperparameters>;
  /**
   * A new policy that can hold the form of a turn: random weights, then supervised training on exercises in the form and on demonstrations
   * by partners with good and bad habits.
   *
   * @throws RlpaError `invalid-option`, `missing-dependency`, `aborted`, `device-failed`
   */
  warmStart(request?: WarmStartRequest): Promise<LocalPolicy>;
}

/**
 * Scripted users with six facts each, a policy that starts from nothing, and the numbers by which PPO teaches it to find these facts out:
 * what `npm start` does, as parts to put together. It needs neither files nor a network, and runs in a browser as well as in Node.
 *
 * @throws RlpaError `invalid-option` for a size that there is not, or a seed that is no integer
 * @example
 * import { evaluate, PPOTrainer } from 'rlpa';
 * import { tinyTask } from 'rlpa/tiny';
 * const task = tinyTask({ size: 'micro', seed: 1 });
 * const policy = await task.warmStart(); // in a browser: { device: 'webgpu' }
 * const trainer = new PPOTrainer({ ...task.ppo, policy, environment: task.environment, personas: task.training, seed: task.seed });
 * await trainer.train({ iterations: task.iterations });
 * const report = await evaluate({ ...task.measuring, policy, personas: task.heldOut });
 */
export function tinyTask(options: TinyTaskOptions = {}): TinyTask {
  checkKnown('tinyTask', options, { size: true, seed: true });
  const { size = 'tiny', seed = 1 } = options;
  if (!tinySizes.includes(size)) throw invalidOption('tinyTask', 'size', `one of ${tinySizes.join(', ')}`, size);
  if (!Number.isSafeInteger(seed)) throw invalidOption('tinyTask', 'seed', 'a whole number', seed);
  const kind = 'generated';
  const setting = tinySetting(kind, size);
  const { users, evalUsers, turns, iterations, profileWeight, ppo, temperature, maxNewTokens } = recipeFor(setting);
  const { training, heldOut } = generatePeople({ profile: setting.profile, seed, users, evalUsers });
  return {
    seed,
    training,
    heldOut,
    environment: environmentFor(setting, { people: kind }, { turns, reward: 'both', profileWeight }),
    measuring: {
      environment: environmentFor(setting, { people: kind }, { turns, reward: 'both' }),
      seed: seedFor(seed, 'evaluation'),
      temperature,
    },
    iterations,
    ppo,
    warmStart: async (request: WarmStartRequest = {}) => {
      let device = givenDevice(request);
      let policy: LocalPolicy | undefined;
      try {
        checkKnown('warmStart', request, { device: true, signal: true, onProgress: true });
        const { device: wanted = 'cpu', signal, onProgress } = request;
        const opened = await openedDevice('warmStart', wanted);
        device = opened;
        policy = await warmStart({
          setting,
          environment: demonstrationEnvironment(setting, { people: kind }, turns),
          personas: training,
          plan: warmStartFor(setting),
          device: async () => opened,
          seed,
          maxNewTokens,
          signal,
          onProgress: (event) => onProgress?.(event as WarmStartProgress),
        });
        return policy;
      } finally {
        if (!policy) await device?.dispose();
      }
    },
  };
}
