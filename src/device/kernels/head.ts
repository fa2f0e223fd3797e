import { type Kernel, type KernelCall, reads, writes } from './kernel';
import { maximumOf, reduceGroup, reductionMemory } from './reduction';

/** Threads that share a row of logits: no more than have something to do. */
const threadsFor = (vocabulary: number) => (vocabulary <= 2048 ? 64 : 256);

/** Which tokens a distribution may choose from: 0 and 1 stand for no limit. */
export interface Support {
  readonly topK: number;
  readonly topP: number;
}

export const isLimited = ({ topK, topP }: Support): boolean => topK > 0 || topP < 1;

const logit = (i: string) => `logits[start + ${i}] / temperature[0]`;

/** Leaves in `sum` the group's total of an expression over the logits `l` of a row. */
const sumOverRow = (threads: number, name: string, expression: string): string => `  var sum_${name} = 0.0f;
  for (var i = lane; i < p.vocabulary; i = i + ${threads}u) {
    let l = ${logit('i')};
    sum_${name} = sum_${name} + (${expression});
  }
${reduceGroup(name, `sum_${name}`, threads)}`;

/** A float's bits as an integer that orders as the floats do. */
const key = (l: string) => `select(bitsOfFloat(${l}) | 2147483648u, ~bitsOfFloat(${l}), bitsOfFloat(${l}) >= 2147483648u)`;

/**
 * Finds, bit by bit, the largest threshold at which the logits that reach it still have the wanted weight: a count for top-k, a probability
 * for top-p. One pass over the row a bit, no sorting.
 */
const search = (threads: number, name: string, weight: string, wanted: string): string => `  var ${name} = 0u;
  for (var bit = 2147483648u; bit > 0u; bit = bit / 2u) {
    let candidate = ${name} | bit;
${sumOverRow(threads, `reached_${name}`, `select(0.0f, ${weight}, ${key('l')} >= candidate)`)}
    ${name} = select(${name}, candidate, reached_${name} >= ${wanted});
  }`;

/** The row's maximum, its smallest allowed logit as a key (`lowest`), and the sum of exp(l − maximum) over what is allowed (`total`). */
const support = (threads: number, { topK, topP }: Support): string => {
  const lines = [
    `  var largest = -3.0e38f;
  for (var i = lane; i < p.vocabulary; i = i + ${threads}u) { largest = max(largest, ${logit('i')}); }
${reduceGroup('maximum', 'largest', threads, maximumOf)}`,
  ];
  lines.push(topK > 0 ? search(threads, 'best', '1.0f', 'min(p.topK, f32(p.vocabulary))') : '  let best = 0u;');
  if (topP < 1) {
    lines.push(sumOverRow(threads, 'mass', `select(0.0f, exp(l - maximum), ${key('l')} >= best)`));
    lines.push(search(threads, 'likely', `exp(l - maximum) * select(0.0f, 1.0f, ${key('l')} >= best)`, 'p.topP * mass'));
    // never the bits of a NaN, where nothing is excluded
    lines.push('  let lowest = max(max(best, likely), 8388608u);');
  } else lines.push('  let lowest = max(best, 8388608u);');
  return lines.join('\n');
};

const supportUniforms = [
  { name: 'vocabulary', type: 'u32' },
  { name: 'topK', type: 'f32' },
  { name: 'topP', type: 'f32' },
] as const;

const variant = ({ topK, topP }: Support) => `${topK > 0 ? ' top-k' : ''}${topP < 1 ? ' top-p' : ''}`;

/**
 * From logits [rows, V], before they are divided by the temperature: the log-probability of each row's target, the entropy, the log of the
 * normaliser and the smallest allowed logit. All refer to rows `first` and on of the results.
 */
export function headLogProbability(rows: number, vocabulary: number, first: number, limits: Support): KernelCall {
  const threads = threadsFor(vocabulary);
  const limited = isLimited(limits);
  const allowed = limited ? `l >= threshold` : '';
  const kernel: Kernel = {
    name: `headLogProbability ${threads}${variant(limits)}`,
    threads,
    portable: true,
    buffers: [
      ...reads('f32', 'logits'),
      ...reads('i32', 'targets'),
      ...reads('f32', 'temperature'),
      ...writes('f32', 'logProbabilities', 'entropies', 'normalizers', 'thresholds'),
    ],
    uniforms: [...supportUniforms, { name: 'first', type: 'u32' }],
    shared: [reductionMemory(threads)],
    body: `  let start = group * p.vocabulary;
  let row = p.first + group;
  let chosen = ${logit('u32(targets[row])')};
${support(threads, limits)}
  let threshold = min(chosen, ${limited ? 'select(floatOfBits(~lowest), floatOfBits(lowest & 2147483647u), lowest >= 2147483648u)' : '-1.0e30f'});
${sumOverRow(threads, 'total', limited ? `select(0.0f, exp(l - maximum), ${allowed})` : 'exp(l - maximum)')}
${sumOverRow(threads, 'weighted', limited ? `select(0.0f, exp(l - maximum) * (l - maximum), ${allowed})` : 'exp(l - maximum) * (l - maximum)')}
  if (lane == 0u) {
    let normalizer = maximum + log(total);
    logProbabilities[row] = chosen - normalizer;
    entropies[row] = log(total) - weighted / total;
    normalizers[row] = normalizer;
    thresholds[row] = threshold;
  }`,
  };
  return { kernel, uniforms: [vocabulary, limits.topK, limits.topP, first], groups: rows };
}

/**
 * Replaces logits l [rows, V] by the gradient of the loss with respect to them: with a and e the gradients of log-probability and entropy,
 * z = l/T − normaliser and p = exp z, (a·onehot − p·(a + e·(z + H))) / T.
 */
export function headLogitsGradient(
  rows: number,
  vocabulary: number,
  first: number,
  { limited, withEntropy }: { readonly limited: boolean; readonly withEntropy: boolean },
): KernelCall {
  const threads = 256;
  const blocks = Math.ceil(vocabulary / threads);
  return {
    kernel: {
      name: `headLogitsGradient${limited ? ' limited' : ''}${withEntropy ? ' with entropy' : ''}`,
      threads,
      portable: true,
      buffers: [
        ...reads('i32', 'targets'),
        ...reads('f32', 'temperature', 'normalizers', 'toLogProbability'),
        ...(withEntropy ? reads('f32', 'entropies', 'toEntropy') : []),
        ...(limited ? reads('f32', 'thresholds') : []),
        ...writes('f32', 'logits'),
      ],
      uniforms: [
        { name: 'vocabulary', type: 'u32' },
        { name: 'blocks', type: 'u32' },
        { name: 'first', type: 'u32' },
      ],
      body: `  let own = group / p.blocks;
  let row = p.first + own;
  let column = group % p.blocks * ${threads}u + lane;
  if (column < p.vocabulary) {
    let k = own * p.vocabulary + column;
    let l = logits[k] / temperature[0];
    let z = l - normalizers[row];
    let a = toLogProbability[row];
    let slope = ${withEntropy ? 'a + toEntropy[row] * (z + entropies[row])' : 'a'};
    let spread = ${limited ? 'select(0.0f, exp(min(z, 0.0f)) * slope, l >= thresholds[row])' : 'exp(z) * slope'};
    let own_share = select(0.0f, a, column == u32(targets[row]));
    logits[k] = (own_share - spread) / temperature[0];
  }`,
    },
    uniforms: [vocabulary, blocks, first],
    groups: rows * blocks,
  };
}

/**
 * Chooses a token a row from logits [rows, V]: the most likely one, or the first at which the cumulative probability exceeds `uniform`. Each
 * thread adds up a run of the vocabulary; the thread in whose run the number falls walks through it again.
 */
export function sampleHead(rows: number, vocabulary: number, limits: Support, greedy: boolean): KernelCall {
  const threads = threadsFor(vocabulary);
  const limited = isLimited(limits);
  const weight = limited ? `select(0.0f, exp(l - maximum), ${key('l')} >= lowest)` : 'exp(l - maximum)';
  const chooseGreedily = `  var own = p.vocabulary;
  for (var i = lane; i < p.vocabulary; i = i + ${threads}u) {
    if (own == p.vocabulary && ${logit('i')} == maximum) { own = i; }
  }
  firsts[lane] = own;
  workgroupBarrier();
  if (lane == 0u) {
    var token = p.vocabulary;
    for (var other = 0u; other < ${threads}u; other = other + 1u) { token = min(token, firsts[other]); }
    chosen[0] = min(token, p.vocabulary - 1u);
  }
  workgroupBarrier();`;
  const chooseAtRandom = `  let from_ = min(lane * p.run, p.vocabulary);
  let to = min(from_ + p.run, p.vocabulary);
  var own = 0.0f;
  for (var i = from_; i < to; i = i + 1u) {
    let l = ${logit('i')};
    own = own + ${weight};
  }
  scratch[lane] = own;
  if (lane == 0u) { chosen[0] = p.vocabulary; }
  workgroupBarrier();
  if (lane == 0u) {
    var before = 0.0f;
    for (var other = 0u; other < ${threads}u; other = other + 1u) {
      let part = scratch[other];
      scratch[other] = before;
      before = before + part;
    }
    everything[0] = before;
  }
  workgroupBarrier();
  let wanted = uniforms[group] * everything[0];
  var cumulative = scratch[lane];
  if (cumulative <= wanted && cumulative + own > wanted) {
    var last = from_;
    for (var i = from_; i < to; i = i + 1u) {
      let l = ${logit('i')};
      let part = ${weight};
      cumulative = cumulative + part;
      if (part > 0.0f) { last = i; }
      if (cumulative > wanted && chosen[0] == p.vocabulary) { chosen[0] = i; }
    }
    if (chosen[0] == p.vocabulary) { chosen[0] = last; }
  }
  workgroupBarrier();
  if (lane == 0u && chosen[0] == p.vocabulary) {
    // rounding left the last bit of the distribution uncovered: the last token that may be chosen
    for (var i = 0u; i < p.vocabulary; i = i + 1u) {
      let l = ${logit('i')};
      if (${weight} > 0.0f) { chosen[0] = i; }
    }
  }
  workgroupBarrier();`;
  return {
    kernel: {
      name: `sampleHead ${threads}${greedy ? ' greedy' : ''}${variant(limits)}`,
      threads,
      portable: true,
      buffers: [...reads('f32', 'logits', 'uniforms', 'temperature'), ...writes('i32', 'tokens'), ...writes('f32', 'logProbabilities')],
      uniforms: [...supportUniforms, { name: 'run', type: 'u32' }],
      shared: [
        reductionMemory(threads),
        ...(greedy
          ? ([{ name: 'firsts', type: 'u32', size: threads }] as const)
          : ([{ name: 'everything', type: 'f32', size: 1 }] as const)),
        { name: 'chosen', type: 'u32', size: 1 },
      ],
      body: `  let start = group * p.vocabulary;
${support(threads, limits)}
${sumOverRow(threads, 'total', weight)}
${greedy ? chooseGreedily : chooseAtRandom}
  if (lane == 0u) {
    tokens[group] = i32(chosen[0]);
    logProbabilities[group] = ${logit('chosen[0]')} - (maximum + log(total));
  }`,
    },
    uniforms: [vocabulary, limits.topK, limits.topP, Math.ceil(vocabulary / threads)],
    groups: rows,
  };
}
