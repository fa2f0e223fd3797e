import { RlpaError } from '../errors';
import { bytesOfByteLevelToken } from './byte-level';

/** How a vocabulary's tokens turn into bytes of UTF-8 text. */
export interface TokenBytes {
  /** The bytes of one token of the model's own vocabulary (added tokens stand for their text). */
  bytesOf(token: string): Uint8Array;
  /** SentencePiece puts a space before a text, which is taken off again when it is decoded. */
  readonly stripsLeadingSpace: boolean;
}

type Json = Readonly<Record<string, unknown>>;
const encoder = new TextEncoder();

/**
 * Reads the `decoder` of a tokenizer.json: byte-level (Qwen2, Llama 3) or SentencePiece with byte fallback (Llama 2).
 *
 * @throws RlpaError `invalid-model` for other decoders
 */
export function tokenBytesOf(decoder: unknown): TokenBytes {
  const steps = stepsOf(decoder);
  const kinds = steps.map((step) => step.type);
  if (kinds.includes('ByteLevel')) {
    return { bytesOf: (token) => bytesOfByteLevelToken(token) ?? encoder.encode(token), stripsLeadingSpace: false };
  }
  const spaces = steps.find((step) => step.type === 'Metaspace' || (step.type === 'Replace' && step.content === ' '));
  if (spaces === undefined) {
    throw new RlpaError(
      'invalid-model',
      `tokenizer.json, decoder: expected ByteLevel or a SentencePiece one, found ${JSON.stringify(decoder)}.`,
      {
        field: 'decoder',
        found: decoder,
      },
    );
  }
  const space = spaces.type === 'Metaspace' ? ((spaces.replacement as string | undefined) ?? '▁') : patternOf(spaces);
  const byteFallback = kinds.includes('ByteFallback');
  return {
    bytesOf: (token) => {
      const byte = byteFallback ? /^<0x([0-9A-Fa-f]{2})>$/.exec(token) : null;
      return byte === null ? encoder.encode(token.replaceAll(space, ' ')) : Uint8Array.of(Number.parseInt(byte[1]!, 16));
    },
    stripsLeadingSpace: stripsLeadingSpace(steps, spaces),
  };
}

function stripsLeadingSpace(steps: readonly Json[], spaces: Json): boolean {
  if (steps.some((step) => step.type === 'Strip' && step.content === ' ' && Number(step.start) > 0)) return true;
  return spaces.type === 'Metaspace' && spaces.prepend_scheme !== 'never' && spaces.add_prefix_space !== false;
}

function patternOf(replace: Json): string {
  const pattern = (replace.pattern as Json | undefined)?.String;
  return typeof pattern === 'string' && pattern !== '' ? pattern : '▁';
}

function stepsOf(decoder: unknown): Json[] {
  if (typeof decoder !== 'object' || decoder === null) return [];
  const step = decoder as Json;
  return step.type === 'Sequence' && Array.isArray(step.decoders) ? step.decoders.flatMap(stepsOf) : [step];
}
