import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { schema } from '../../examples/speaker';
import { cpuDevice } from '../../src/device/cpu/index';
import { LocalPolicy } from '../../src/policy/index';
import { formatTurn } from '../../src/profile/index';
import { SFTTrainer } from '../../src/training/index';
import { Tokenizer, trainTokenizer } from '../../src/transformer/index';
import { microConfig } from '../integration/micro-policy';

const instruction = 'Note and reply.';

/** A dialogue that a policy learns by heart: what is said, and what is known and replied then. */
export interface Rehearsed {
  readonly message: string;
  readonly known: Readonly<Record<string, string>>;
  readonly reply: string;
}

/** A policy of some 60,000 weights that has learned a dialogue by heart, saved as `rlpa train` saves one. Takes a few seconds. */
export async function writePolicyFolder(folder: string, dialogue: readonly Rehearsed[]): Promise<void> {
  const turns = dialogue.flatMap(({ message, known, reply }) => [
    { role: 'user' as const, content: message },
    { role: 'assistant' as const, content: formatTurn(schema.profile(known), reply) },
  ]);
  const addedTokens = ['<profile>', '</profile>', '<response>', '</response>'];
  const files = trainTokenizer({ texts: turns.map(({ content }) => content), vocabularySize: 400, addedTokens });
  const tokenizer = Tokenizer.fromJSON(files.tokenizer, files.tokenizerConfig);
  const config = microConfig({ vocabularySize: tokenizer.size, maxPositions: 1024 });
  const policy = new LocalPolicy(cpuDevice({ threads: 2 }), { config, tokenizer }, { maxNewTokens: 128, seed: 1 });
  try {
    const messages = [{ role: 'system' as const, content: instruction }, ...turns];
    await new SFTTrainer({ policy, examples: [{ messages }], epochs: 120, learningRate: 1e-2 }).train();
    await policy.save(folder);
  } finally {
    await policy.dispose();
  }
  await writeFile(join(folder, 'rlpa.json'), JSON.stringify({ profile: 'short', instruction, history: 'keep' }));
}
