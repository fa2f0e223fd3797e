import { RlpaError } from '../errors';
import { type LoraConfig, loraConfig, type Projection, projections } from './lora';

type Json = Readonly<Record<string, unknown>>;

/** Switches of PEFT that change what an adapter computes, with the values that mean "off". */
const switches: readonly (readonly [field: string, off: readonly unknown[]])[] = [
  ['bias', ['none']],
  ['use_rslora', [false]],
  ['use_dora', [false]],
  ['fan_in_fan_out', [false]],
  ['layers_to_transform', []],
  ['modules_to_save', []],
  ['layer_replication', []],
  ['trainable_token_indices', []],
  ['rank_pattern', []],
  ['alpha_pattern', []],
];

/**
 * Reads PEFT's adapter_config.json of a LoRA adapter on a Qwen2 or Llama decoder.
 *
 * @throws RlpaError `invalid-model` for what is not plain LoRA on the seven projections in every layer
 */
export function parseAdapterConfig(json: unknown): LoraConfig {
  if (typeof json !== 'object' || json === null || Array.isArray(json)) throw refused('(root)', 'a JSON object', json);
  const fields = json as Json;
  if (fields.peft_type !== 'LORA') throw refused('peft_type', "'LORA'", fields.peft_type);
  for (const [field, off] of switches) {
    const value = fields[field];
    if (value !== undefined && value !== null && !off.includes(value) && !isEmpty(value)) {
      throw refused(field, off.length > 0 ? JSON.stringify(off[0]) : 'nothing', value);
    }
  }
  const { r: rank, lora_alpha: alpha } = fields as { readonly r: number; readonly lora_alpha: number };
  if (!Number.isInteger(rank) || rank < 1) throw refused('r', 'a whole number of at least 1', rank);
  if (!Number.isFinite(alpha) || alpha <= 0) throw refused('lora_alpha', 'a finite number above 0', alpha);
  return loraConfig({ rank, alpha, targets: targetsOf(fields.target_modules) });
}

/**
 * The adapter_config.json that PEFT and vLLM read.
 *
 * @param baseModel the folder or hub name of the model that the adapter belongs on
 */
export function toPeftConfig(lora: LoraConfig, baseModel: string | null = null): Record<string, unknown> {
  return {
    peft_type: 'LORA',
    task_type: 'CAUSAL_LM',
    base_model_name_or_path: baseModel,
    r: lora.rank,
    lora_alpha: lora.alpha,
    lora_dropout: 0,
    bias: 'none',
    fan_in_fan_out: false,
    inference_mode: true,
    target_modules: [...lora.targets],
  };
}

const peftPrefix = 'base_model.model.';

/** The name in PEFT's file of a parameter such as `model.layers.0.self_attn.q_proj.lora_A.weight`. */
export function toPeftName(parameter: string): string {
  return peftPrefix + parameter;
}

/** The reverse of {@link toPeftName}; undefined for a name that is not PEFT's. */
export function fromPeftName(name: string): string | undefined {
  return name.startsWith(peftPrefix) ? name.slice(peftPrefix.length) : undefined;
}

function targetsOf(value: unknown): Projection[] {
  if (value === 'all-linear') return [...projections];
  // PEFT stores a set: its order says nothing, so ours is put in.
  const named = Array.isArray(value) ? value : [];
  const targets = projections.filter((projection) => named.includes(projection));
  if (targets.length === 0 || targets.length !== named.length) {
    throw refused('target_modules', `'all-linear' or a list of ${projections.join(', ')}`, value);
  }
  return targets;
}

function isEmpty(value: unknown): boolean {
  return typeof value === 'object' && value !== null && Object.keys(value).length === 0;
}

function refused(field: string, expected: string, found: unknown): RlpaError {
  const shown = (JSON.stringify(found) ?? 'nothing').slice(0, 200);
  return new RlpaError('invalid-model', `adapter_config.json, ${field}: expected ${expected}, found ${shown}.`, { field, expected, found });
}
