import type { ChatMessage } from '../../src/chat/index';
import type { ActOptions, PolicyAction, PolicyState } from '../../src/policy/policy';
import type {
  CrossEntropyReport,
  OptimizerStep,
  PolicyTrainingState,
  PPOLossOptions,
  PPOLossReport,
  PPOSequence,
  ScoredSequence,
  TrainablePolicy,
  TrainingSequence,
} from '../../src/policy/trainable-policy';
import { Random } from '../../src/random';

const user = 1;
const assistant = 2;
export const stopToken = 3;
const firstLetter = 4;
const letters = 'abcdefgh';
export const vocabulary = firstLetter + letters.length;
const contexts = vocabulary * vocabulary;

export interface TabularPolicyOptions {
  readonly temperature?: number;
  readonly maxTokens?: number;
  /** Named, but not heeded. */
  readonly limits?: TrainablePolicy['limits'];
  /** Sequences that are differentiated at once. */
  readonly microBatch?: number;
  /** Added to the log-probabilities that sampling reports: a generator that disagrees with the scorer. */
  readonly samplingError?: number;
  /** Replaces every cooperative wait; throws to simulate an interruption. */
  readonly onCall?: (method: string) => void | Promise<void>;
  readonly fingerprint?: string;
}

/**
 * The smallest policy that truly learns: a table of logits and a table of values over the last two tokens, in float64 arithmetic on
 * float32 parameters, with gradients derived by hand.
 */
export class TabularPolicy implements TrainablePolicy {
  readonly name = 'tabular';
  readonly temperature: number;
  readonly limits: TrainablePolicy['limits'];
  readonly maxNewTokens: number | undefined;
  readonly fingerprint: string;
  version = 0;
  readonly logits = new Float32Array(contexts * vocabulary);
  readonly valueTable = new Float32Array(contexts);
  readonly logitGradient = new Float64Array(contexts * vocabulary);
  readonly valueGradient = new Float64Array(contexts);
  /** Every call of `score` and `accumulate…`, for tests to look at. */
  readonly seen: { method: string; sequences: readonly TrainingSequence[]; loss?: PPOLossOptions }[] = [];
  readonly steps: OptimizerStep[] = [];
  #reference: Float32Array = this.logits.slice();
  #moments = [this.logits, this.valueTable].map((table) => ({ m: new Float32Array(table.length), v: new Float32Array(table.length) }));
  #optimizerStep = 0;

  constructor(private readonly options: TabularPolicyOptions = {}) {
    this.temperature = options.temperature ?? 1;
    this.maxNewTokens = options.maxTokens;
    this.limits = options.limits;
    this.fingerprint = options.fingerprint ?? `tabular-${vocabulary}`;
  }

  encodeAssistant(text: string): Int32Array {
    return Int32Array.from([...encode(text), stopToken]);
  }

  encodePrompt(messages: readonly ChatMessage[]): Int32Array {
    const ids = messages.flatMap(({ role, content, tokens }) =>
      role === 'assistant' ? [assistant, ...(tokens ?? this.encodeAssistant(content))] : [user, ...encode(content)],
    );
    return Int32Array.from([...ids, assistant]);
  }

  async act(states: readonly PolicyState[], options: ActOptions = {}): Promise<PolicyAction[]> {
    await this.options.onCall?.('act');
    options.signal?.throwIfAborted();
    return states.map((state) => this.#sample(state, options.temperature === 0));
  }

  #sample({ messages, seed }: PolicyState, greedy: boolean): PolicyAction {
    const random = new Random(seed);
    const prompt = this.encodePrompt(messages);
    const all = [...prompt];
    const logProbs: number[] = [];
    const values: number[] = [];
    const maxTokens = this.options.maxTokens ?? 4;
    while (logProbs.length < maxTokens && all.at(-1) !== stopToken) {
      const context = contextAt(all, all.length);
      const logProb = this.#logProbs(this.logits, context);
      let token = greedy ? logProb.indexOf(Math.max(...logProb)) : 0;
      if (!greedy) {
        let rest = random.uniform();
        for (token = 0; token < vocabulary - 1; token++) {
          rest -= Math.exp(logProb[token]!);
          if (rest < 0) break;
        }
      }
      all.push(token);
      logProbs.push(logProb[token]! + (this.options.samplingError ?? 0));
      values.push(this.valueTable[context]!);
    }
    const completion = all.slice(prompt.length);
    return {
      text: decode(completion),
      finishReason: completion.at(-1) === stopToken ? 'stop' : 'length',
      tokens: {
        prompt,
        completion: Int32Array.from(completion),
        logProbs: Float32Array.from(logProbs),
        values: Float32Array.from(values),
        version: this.version,
      },
      usage: { inputTokens: prompt.length, outputTokens: completion.length },
    };
  }

  async score(
    sequences: readonly TrainingSequence[],
    { reference = false, signal }: { reference?: boolean; signal?: AbortSignal } = {},
  ): Promise<ScoredSequence[]> {
    await this.options.onCall?.('score');
    signal?.throwIfAborted();
    this.seen.push({ method: reference ? 'score reference' : 'score', sequences });
    return sequences.map((sequence) => {
      const { length } = sequence.tokens;
      const out = { logProbs: new Float32Array(length), values: new Float32Array(length), entropies: new Float32Array(length) };
      forEachAction(sequence, (t, context) => {
        const logProb = this.#logProbs(reference ? this.#reference : this.logits, context);
        out.logProbs[t] = logProb[sequence.tokens[t]!]!;
        out.values[t] = this.valueTable[context]!;
        out.entropies[t] = -logProb.reduce((sum, value) => sum + Math.exp(value) * value, 0);
      });
      return out;
    });
  }

  async accumulatePPO(sequences: readonly PPOSequence[], loss: PPOLossOptions, signal?: AbortSignal): Promise<PPOLossReport> {
    this.seen.push({ method: 'accumulatePPO', sequences, loss });
    const size = this.options.microBatch ?? sequences.length;
    const sums = { policyLoss: 0, valueLoss: 0, entropy: 0, klK1: 0, klK3: 0, clipFraction: 0, approximateKl: 0, loss: 0 };
    let ratioMin = Number.POSITIVE_INFINITY;
    let ratioMax = Number.NEGATIVE_INFINITY;
    for (let from = 0; from < sequences.length; from += size) {
      await this.options.onCall?.('accumulatePPO');
      signal?.throwIfAborted();
      const part = { ...sums };
      for (const key of Object.keys(part) as (keyof typeof sums)[]) part[key] = 0;
      for (const sequence of sequences.slice(from, from + size)) {
        forEachAction(sequence, (t, context) => {
          const ratio = this.#addToken(sequence, t, context, loss, part);
          ratioMin = Math.min(ratioMin, ratio);
          ratioMax = Math.max(ratioMax, ratio);
        });
      }
      for (const key of Object.keys(part) as (keyof typeof sums)[]) sums[key] += part[key] / loss.normalizer;
    }
    return { ...sums, ratioMin, ratioMax, padding: 0 };
  }

  #addToken(
    sequence: PPOSequence,
    t: number,
    context: number,
    loss: PPOLossOptions,
    sums: Record<'policyLoss' | 'valueLoss' | 'entropy' | 'klK1' | 'klK3' | 'clipFraction' | 'approximateKl' | 'loss', number>,
  ): number {
    const token = sequence.tokens[t]!;
    const logProb = this.#logProbs(this.logits, context);
    const logRatio = logProb[token]! - sequence.oldLogProbs[t]!;
    const ratio = Math.exp(logRatio);
    const advantage = sequence.advantages[t]!;
    const unclipped = -advantage * ratio;
    const clipped = -advantage * Math.min(1 + loss.clip, Math.max(1 - loss.clip, ratio));
    const policyLoss = Math.max(unclipped, clipped);

    const value = this.valueTable[context]!;
    const old = sequence.oldValues[t]!;
    const near = old + Math.min(loss.valueClip, Math.max(-loss.valueClip, value - old));
    const error = value - sequence.returns[t]!;
    const nearError = near - sequence.returns[t]!;
    const valueLoss = 0.5 * Math.max(error ** 2, nearError ** 2);

    const entropy = -logProb.reduce((sum, lp) => sum + Math.exp(lp) * lp, 0);
    const toReference = logProb[token]! - sequence.referenceLogProbs[t]!;
    const klK3 = Math.exp(-toReference) - 1 + toReference;
    const klLoss = loss.klLoss === 'k2' ? 0.5 * toReference ** 2 : klK3;

    const byLogProb =
      (unclipped >= clipped ? -advantage * ratio : 0) +
      loss.klLossCoefficient * (loss.klLoss === 'k2' ? toReference : 1 - Math.exp(-toReference));
    for (let j = 0; j < vocabulary; j++) {
      const p = Math.exp(logProb[j]!);
      const ofLogProb = (Number(j === token) - p) / this.temperature;
      const ofEntropy = (-p * (logProb[j]! + entropy)) / this.temperature;
      this.logitGradient[context * vocabulary + j]! += (byLogProb * ofLogProb - loss.entropyCoefficient * ofEntropy) / loss.normalizer;
    }
    const byValue = error ** 2 >= nearError ** 2 ? error : near === value ? nearError : 0;
    this.valueGradient[context]! += (loss.valueCoefficient * byValue) / loss.normalizer;

    sums.policyLoss += policyLoss;
    sums.valueLoss += valueLoss;
    sums.entropy += entropy;
    sums.klK1 += toReference;
    sums.klK3 += klK3;
    sums.clipFraction += Number(Math.abs(ratio - 1) > loss.clip);
    sums.approximateKl += ratio - 1 - logRatio;
    sums.loss += policyLoss + loss.valueCoefficient * valueLoss - loss.entropyCoefficient * entropy + loss.klLossCoefficient * klLoss;
    return ratio;
  }

  async accumulateCrossEntropy(
    sequences: readonly TrainingSequence[],
    normalizer: number,
    signal?: AbortSignal,
  ): Promise<CrossEntropyReport> {
    this.seen.push({ method: 'accumulateCrossEntropy', sequences });
    const size = this.options.microBatch ?? sequences.length;
    let loss = 0;
    let tokens = 0;
    for (const [index, sequence] of sequences.entries()) {
      if (index % size === 0) await this.options.onCall?.('accumulateCrossEntropy');
      signal?.throwIfAborted();
      forEachAction(sequence, (t, context) => {
        const token = sequence.tokens[t]!;
        const logProb = this.#logProbs(this.logits, context);
        for (let j = 0; j < vocabulary; j++) {
          this.logitGradient[context * vocabulary + j]! -= (Number(j === token) - Math.exp(logProb[j]!)) / this.temperature / normalizer;
        }
        loss -= logProb[token]! / normalizer;
        tokens++;
      });
    }
    return { loss, tokens };
  }

  async update(step: OptimizerStep): Promise<{ gradientNorm: number }> {
    await this.options.onCall?.('update');
    this.steps.push(step);
    const gradients = [this.logitGradient, this.valueGradient];
    const gradientNorm = Math.sqrt(gradients.reduce((sum, gradient) => sum + gradient.reduce((part, g) => part + g * g, 0), 0));
    const scale = Math.min(1, step.maxGradientNorm / (gradientNorm + 1e-12));
    this.#optimizerStep++;
    const [beta1, beta2] = step.betas;
    for (const [index, table] of [this.logits, this.valueTable].entries()) {
      const rate = index === 0 ? step.learningRate : (step.valueLearningRate ?? step.learningRate);
      const { m, v } = this.#moments[index]!;
      for (let i = 0; i < table.length; i++) {
        const gradient = gradients[index]![i]! * scale;
        m[i] = beta1 * m[i]! + (1 - beta1) * gradient;
        v[i] = beta2 * v[i]! + (1 - beta2) * gradient * gradient;
        const mean = m[i]! / (1 - beta1 ** this.#optimizerStep);
        const square = v[i]! / (1 - beta2 ** this.#optimizerStep);
        table[i] = table[i]! * (1 - rate * step.weightDecay) - (rate * mean) / (Math.sqrt(square) + step.epsilon);
      }
    }
    this.version++;
    await this.clearGradients();
    return { gradientNorm };
  }

  async clearGradients(): Promise<void> {
    this.logitGradient.fill(0);
    this.valueGradient.fill(0);
  }

  async resetOptimizer(): Promise<void> {
    for (const moment of this.#moments.flatMap(({ m, v }) => [m, v])) moment.fill(0);
    this.#optimizerStep = 0;
  }

  async setReference(): Promise<void> {
    this.#reference = this.logits.slice();
  }

  async exportState(): Promise<PolicyTrainingState> {
    const tensors = new Map([
      ['logits', { shape: [contexts, vocabulary], data: this.logits.slice() }],
      ['values', { shape: [contexts], data: this.valueTable.slice() }],
      ['reference', { shape: [contexts, vocabulary], data: this.#reference.slice() }],
    ]);
    for (const [index, { m, v }] of this.#moments.entries()) {
      tensors.set(`m.${index}`, { shape: [m.length], data: m.slice() });
      tensors.set(`v.${index}`, { shape: [v.length], data: v.slice() });
    }
    return { version: this.version, optimizerStep: this.#optimizerStep, tensors };
  }

  async importState({ version, optimizerStep, tensors }: PolicyTrainingState): Promise<void> {
    this.version = version;
    this.#optimizerStep = optimizerStep;
    this.logits.set(tensors.get('logits')!.data);
    this.valueTable.set(tensors.get('values')!.data);
    this.#reference = tensors.get('reference')!.data.slice();
    for (const [index, { m, v }] of this.#moments.entries()) {
      m.set(tensors.get(`m.${index}`)!.data);
      v.set(tensors.get(`v.${index}`)!.data);
    }
  }

  #logProbs(table: Float32Array, context: number): number[] {
    const row = Array.from(table.subarray(context * vocabulary, (context + 1) * vocabulary), (logit) => logit / this.temperature);
    const largest = Math.max(...row);
    const normalizer = largest + Math.log(row.reduce((sum, logit) => sum + Math.exp(logit - largest), 0));
    return row.map((logit) => logit - normalizer);
  }
}

/** The last two tokens before position t, as one number. */
function contextAt(tokens: ArrayLike<number>, t: number): number {
  return (tokens[t - 2] ?? 0) * vocabulary + tokens[t - 1]!;
}

function forEachAction({ tokens, actionMask }: TrainingSequence, visit: (t: number, context: number) => void): void {
  for (let t = 1; t < tokens.length; t++) if (actionMask[t]) visit(t, contextAt(tokens, t));
}

export function encode(text: string): number[] {
  return [...text].map((letter) => firstLetter + letters.indexOf(letter));
}

export function decode(tokens: ArrayLike<number>): string {
  return Array.from(tokens, (token) => letters[token - firstLetter] ?? '').join('');
}
