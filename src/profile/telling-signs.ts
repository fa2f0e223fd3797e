/** Symbols that say how much, and numbers whose last digits `normalizeText` rewrites. A number is looked at from its beginning only. */
const signs = /[\p{Sc}<>=≤≥±]|(?<!\d)\d+\.\d*[1-9]\d*/gu;

/** A mail address or a URL: what stands in it is no spelling. */
const address = /[\p{L}\p{N}]@[\p{L}\p{N}]|:\/\/[\p{L}\p{N}]/u;

/**
 * What a text has that `normalizeText` drops or rewrites although it tells two values apart: `<50k` and `>50k`, `$5` and `€5`, 3.1 and 3.10,
 * `smith@x.com` and `a.smith@x.com`. In the order of the text, and none in most texts. Spacing, typography and accents are spelling, not signs.
 */
export function tellingSigns(text: string): readonly string[] {
  return text
    .normalize('NFKC')
    .toLowerCase()
    .split(/\s+/)
    .flatMap((word): readonly string[] => (address.test(word) ? [withoutPunctuation(word)] : (word.match(signs) ?? [])));
}

/** From its first letter or digit to its last. */
function withoutPunctuation(word: string): string {
  return /[\p{L}\p{N}].*[\p{L}\p{N}]/su.exec(word)?.[0] ?? word;
}
