import type { ProfileSchema } from '../profile/index';
import { Tokenizer, trainTokenizer } from '../transformer/index';

/** One token for the beginning and one for the end of a message: half of a short dialogue would be markup otherwise. */
const template =
  "{% for message in messages %}{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}";

/**
 * A tokenizer for a policy that starts from nothing: BPE over the texts that it will read and write, with the frame of a turn and each
 * slot's label as tokens of their own. A profile is then little more than its values, and what comes after a label can be read off it.
 */
export function tinyTokenizer(schema: ProfileSchema, texts: readonly string[], vocabularySize: number): Tokenizer {
  const slots = Object.values(schema.slots);
  const { tokenizer, tokenizerConfig } = trainTokenizer({
    texts,
    vocabularySize,
    specialTokens: ['<|end|>', '<|system|>', '<|user|>', '<|assistant|>'],
    addedTokens: ['<profile>', '\n</profile>\n\n<response>\n', '\n</response>', ...slots.map(({ label }) => `\n- ${label}:`)],
  });
  return Tokenizer.fromJSON(tokenizer, { ...tokenizerConfig, chat_template: template, eos_token: '<|end|>', pad_token: '<|end|>' });
}
