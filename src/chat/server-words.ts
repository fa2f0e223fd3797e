/** What an error must not repeat of a server's words. */
export interface Confidential {
  /** Its name may look like a key, and is none. */
  readonly model: string;
  /** Keys and passwords. */
  readonly secrets: readonly string[];
  /** The texts of the messages that were sent. */
  readonly sent: readonly string[];
}

/** In characters: of a server's message, of a web page, and of what is looked at to find them. */
const longest = { message: 500, page: 200, read: 20_000 } as const;
/** In characters: what counts as quoted within a message, and from where on a message that is shorter than this does as a whole. */
const quote = { run: 20, whole: 8 } as const;

/**
 * What a server said, as it may stand in an error: on one line, without secrets and what looks like a key, and without what it quotes of the
 * messages. Only then is it shortened, for half a secret is not recognised. Of a web page the text is left.
 */
export function serverWords(text: string, { model, secrets, sent }: Confidential): string {
  const conceal = concealing(secrets, model);
  const isPage = /<(?:!doctype html|html|head|body)\b/i.test(text);
  const said = conceal(plain(isPage ? pageText(text) : text)).slice(0, longest.read);
  const parts = sent.map((part) => conceal(plain(part)));
  return shorten(withoutQuotes(said, parts), isPage ? longest.page : longest.message);
}

/** On one line and without escapes, so that a text is the same when it is quoted within JSON, however deep. */
function plain(text: string): string {
  return text
    .replace(/\\+/g, '\\')
    .replace(/\\u([0-9a-f]{4})/gi, (_, code: string) => String.fromCharCode(Number.parseInt(code, 16)))
    .replace(/\\[nrt]/g, ' ')
    .replace(/\\(["'/])/g, '$1')
    .replace(/\s+/g, ' ')
    .trim();
}

function concealing(secrets: readonly string[], model: string): (text: string) => string {
  // the longest first: another may be a part of it
  const known = secrets.map(plain).filter((secret) => secret.length >= 4);
  known.sort((one, other) => other.length - one.length);
  const looksLikeKey = (word: string) => /\d/.test(word) && /[a-z]/i.test(word) && !model.includes(word);
  return (text) =>
    known
      .reduce((clean, secret) => clean.replaceAll(secret, '[concealed]'), text)
      .replace(/\bBearer [^\s[]\S*/gi, 'Bearer [concealed]')
      .replace(/\bsk[-_][\w*-]+/g, '[concealed]')
      .replace(/[\w+=-]{20,}/g, (word) => (looksLikeKey(word) ? '[concealed]' : word));
}

/** What stands before a page, and the text of its body, or its title where it has none. */
function pageText(text: string): string {
  const start = text.indexOf('<');
  const page = text.slice(start);
  const body = page.replace(/<!--[\s\S]*?(?:-->|$)|<(head|title|script|style)\b[\s\S]*?(?:<\/\1>|$)|<[^<>]*>/gi, ' ');
  return text.slice(0, start) + (body.trim() || (/<title[^<>]*>([^<]*)/i.exec(page)?.[1] ?? ''));
}

function withoutQuotes(text: string, sent: readonly string[]): string {
  const here = new Set(runsOf(text));
  const quoted = new Set<string>();
  for (const part of sent) for (const run of runsOf(part)) if (here.has(run)) quoted.add(run);
  let rest = '';
  for (let i = 0, end = 0; i < text.length; i++) {
    if (quoted.has(text.slice(i, i + quote.run))) {
      if (i >= end) rest += '…';
      end = i + quote.run;
    }
    if (i >= end) rest += text[i];
  }
  const short = sent.filter(({ length }) => length >= quote.whole && length < quote.run);
  return short.reduce((clean, part) => clean.replaceAll(part, '…'), rest);
}

function* runsOf(text: string): Iterable<string> {
  for (let i = 0; i + quote.run <= text.length; i++) yield text.slice(i, i + quote.run);
}

function shorten(text: string, length: number): string {
  return text.length > length ? `${text.slice(0, length - 1)}…` : text;
}
