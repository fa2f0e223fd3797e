/**
 * What `normalizeText` drops or rewrites although it may be all that tells two values apart. Each alternative begins with a character of its own,
 * and looks back from there, because nearly every text has none of them.
 */
const telling = new RegExp(
  [
    String.raw`[\p{S}\u0300-\u036f/\\@%&*#_]`, // <50k and >50k, $5 and €5, x.com/a and x.com, año and ano
    String.raw`\.(?=[\p{L}\p{N}])(?<!\.\.)`, // 3.10 and 3.1, .NET and net
    String.raw`,(?=\d)(?<=\d,)(?!\d{3}(?!\d))`, // 1,5 and 1 5; 1,000 is 1000
    String.raw`0(?=\d)(?<![\d,]0)`, // 007 and 7
    String.raw`['‘’](?<=\d.)`, // 5'10 and 510
    String.raw`-(?![\p{L}\p{N}])(?<=[\p{L}\p{N}]-)`, // B- and B
    String.raw`[aA](?![\p{L}\p{N}]|\s+\S)(?<![\p{L}\p{N}].)`, // vitamin A and vitamin: an article has a word after it
    String.raw`A(?=\s)(?<=\p{Ll}\s.)`, // type A diabetes and type diabetes
  ].join('|'),
  'u',
);

/** Whether a text has signs by which it may differ from one with the same normalised text. */
export function hasTellingSigns(text: string): boolean {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the range is ASCII
  return telling.test(/^[\x00-\x7f]*$/.test(text) ? text : text.normalize('NFKD'));
}

/** What follows a word is looked for from its beginning only, so that a long run of it takes no longer than other text. */
const outerPunctuation = /(?<!\S)["'([{«„“¿¡]+|(?<![.,;:!?"')\]}»”])[.,;:!?"')\]}»”]+(?!\S)/gu;

/** A text sign by sign but for case, compatibility variants, white space, an article before it and punctuation around its words. */
export function spelledText(text: string): string {
  const even = text.normalize('NFKC').toLowerCase().replace(/[‘’]/g, "'").replace(/[‐-―]/g, '-').trim();
  const bare = even.replace(outerPunctuation, '').trim();
  return (bare || even).replace(/\s+/g, ' ').replace(/^(?:an?|the) (?=\S)/, '');
}
