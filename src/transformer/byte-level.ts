/**
 * GPT-2's alphabet, in which byte-level BPE writes bytes as visible characters: a printable Latin-1 character stands for its own code,
 * the other 68 bytes take the characters from U+0100 on.
 */
export const byteCharacters: readonly string[] = (() => {
  const characters: string[] = [];
  let next = 0x100;
  for (let byte = 0; byte < 256; byte++) {
    const printable = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
    characters.push(String.fromCharCode(printable ? byte : next++));
  }
  return characters;
})();

const characterBytes: ReadonlyMap<string, number> = new Map(byteCharacters.map((character, byte) => [character, byte]));

/** The bytes that a byte-level token stands for; undefined when a character is not of the alphabet. */
export function bytesOfByteLevelToken(token: string): Uint8Array | undefined {
  const bytes = new Uint8Array(token.length);
  for (let i = 0; i < token.length; i++) {
    const byte = characterBytes.get(token[i]!);
    if (byte === undefined) return undefined;
    bytes[i] = byte;
  }
  return bytes;
}
