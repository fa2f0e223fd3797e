import type { PPOHyperparameters } from '../training/index';
import { peopleOf, type Setting } from './setting';

/** All numbers of an experiment that its options leave out. */
export interface Recipe {
  readonly users: number;
  readonly evalUsers: number;
  readonly turns: number;
  readonly iterations: number;
  /** Factor of the profile reward beside the response reward's 1, in training. Measurements know no weights. */
  readonly profileWeight: number;
  readonly ppo: Partial<PPOHyperparameters>;
  /** Of the sampling when a policy is measured and when it talks; training samples at 1. */
  readonly temperature: number;
  /** Most tokens of a turn. */
  readonly maxNewTokens: number;
}

/** The tiny policy and how it is warmed up. */
export interface WarmStart {
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly layers: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly maxPositions: number;
  readonly vocabularySize: number;
  readonly exercises: Course;
  readonly demonstrations: Course;
  /** For people whose facts fit no slot: the model starts from weights that copy, and first learns to copy words, then sentences. */
  readonly copying?: { readonly words: Course; readonly sentences: Course };
  /**
   * Factor of the logits afterwards; 1 by default. A tiny model knows what it copies less surely than what it has learnt by heart: sampled
   * as it is, it would make more mistakes in copying than choices.
   */
  readonly sharpness?: number;
}

/** Examples of one kind, each taken once. */
export interface Course {
  readonly count: number;
  readonly learningRate: number;
}

/** Most tokens of a forward and backward pass, of every policy in an experiment. */
export const microBatchTokens = 2560;

const tinyPPO = {
  dialogues: 48,
  epochs: 2,
  minibatches: 4,
  learningRate: 1e-3,
  valueLearningRate: 2e-3,
  // at 0 it learns a language of its own, which the judge's rules let pass: "So patient it is do you spend your free time?"
  klCoefficient: 0.01,
  schedule: 'linear',
} as const;

const recipes = {
  generated: {
    users: 2000,
    evalUsers: 64,
    turns: 10,
    iterations: 50,
    profileWeight: 1.5,
    // at 0 a policy this small asks its favourite question again and again
    temperature: 0.5,
    maxNewTokens: 64,
    ppo: tinyPPO,
  },
  recorded: {
    users: 1800,
    evalUsers: 200,
    turns: 6,
    iterations: 24,
    profileWeight: 8,
    temperature: 1,
    maxNewTokens: 96,
    ppo: {
      dialogues: 96,
      epochs: 2,
      minibatches: 2,
      learningRate: 3e-4,
      valueLearningRate: 2e-3,
      klCoefficient: 0,
      schedule: 'linear',
      // a turn may be forty tokens long: with the usual λ its first ones would hardly hear of its reward
      lambda: 0.99,
      gamma: 0.6,
      // nobody can tell which notes are in the golden profile: what the value head cannot learn must not shake what the policy has learnt
      valueCoefficient: 0.05,
      rewardScaling: true,
    },
  },
  pretrained: {
    users: 2000,
    evalUsers: 64,
    turns: 10,
    iterations: 50,
    profileWeight: 1,
    temperature: 0,
    maxNewTokens: 256,
    ppo: { learningRate: 1e-5, valueLearningRate: 1e-4, dialogues: 32 },
  },
} as const satisfies Record<string, Recipe>;

/**
 * What `micro` changes: everything small enough for a GPU that is made of software. It learns to keep the form, and little else: from so few users
 * that their words make a small vocabulary.
 */
const micro = {
  users: 6,
  evalUsers: 8,
  turns: 3,
  iterations: 3,
  maxNewTokens: 48,
  dialogues: 8,
  minibatches: 2,
  learningRate: 2e-3,
} as const;

/** The numbers for a policy by what it is trained for: one that starts from nothing has a recipe by its size. */
export function recipeFor(setting: Setting): Recipe {
  if (setting.size === undefined) return recipes.pretrained;
  const recipe = recipes[peopleOf(setting)];
  if (setting.size === 'tiny') return recipe;
  const { dialogues, minibatches, learningRate, ...rest } = micro;
  return { ...recipe, ...rest, ppo: { ...recipe.ppo, dialogues, minibatches, learningRate } };
}

export function warmStartFor(setting: Setting): WarmStart {
  const tiny: WarmStart = warmStarts[peopleOf(setting)];
  if (setting.size !== 'micro') return tiny;
  const { exercises, demonstrations, copying, ...plan } = tiny;
  return {
    ...plan,
    hiddenSize: 32,
    intermediateSize: 64,
    layers: 1,
    heads: 2,
    kvHeads: 1,
    exercises: { ...exercises, count: 700, learningRate: 0.015 },
    demonstrations: { ...demonstrations, count: 100, learningRate: 0.006 },
    ...(copying && { copying: { words: { ...copying.words, count: 200 }, sentences: { ...copying.sentences, count: 200 } } }),
  };
}

export const warmStarts = {
  generated: {
    hiddenSize: 128,
    intermediateSize: 256,
    layers: 2,
    heads: 4,
    kvHeads: 2,
    maxPositions: 8192,
    vocabularySize: 1536,
    exercises: { count: 4500, learningRate: 6e-3 },
    demonstrations: { count: 3500, learningRate: 4e-3 },
  },
  recorded: {
    hiddenSize: 128,
    intermediateSize: 256,
    layers: 2,
    heads: 4,
    kvHeads: 4,
    maxPositions: 8192,
    vocabularySize: 2560,
    copying: { words: { count: 4800, learningRate: 4e-3 }, sentences: { count: 6400, learningRate: 4e-3 } },
    exercises: { count: 6400, learningRate: 4e-3 },
    demonstrations: { count: 9600, learningRate: 3e-3 },
    sharpness: 2,
  },
} as const satisfies Record<string, WarmStart>;
