import { readFileSync } from 'node:fs';
import type { Device } from '../../src/device/index';
import { LocalPolicy, type LocalPolicyOptions } from '../../src/policy/index';
import { decodeSafetensors, parseModelConfig, Tokenizer, toFloat32Array } from '../../src/transformer/index';
import { sharedPath } from '../shared';

const read = (file: string) => readFileSync(sharedPath(`models/stories260k/${file}`));
const json = (file: string) => JSON.parse(read(file).toString('utf8'));

/** The published stories260k checkpoint as a policy. */
export function storiesPolicy(device: Device, options: LocalPolicyOptions = {}): LocalPolicy {
  const stored = decodeSafetensors(read('model.safetensors'), 'model.safetensors');
  const weights = new Map([...stored].map(([name, tensor]) => [name, { shape: tensor.shape, data: toFloat32Array(tensor) }]));
  const tokenizer = Tokenizer.fromJSON(json('tokenizer.json'), json('tokenizer_config.json'));
  return new LocalPolicy(device, { config: parseModelConfig(json('config.json')), tokenizer, weights }, options);
}

export const expectedGreedyText = () => read('expected-greedy.txt').toString('utf8').trimEnd();
