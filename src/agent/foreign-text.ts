import type { ProfileSchema, SlotDefinition } from '../profile/index';
import { foldText } from './folded-text';

export interface Span {
  readonly start: number;
  readonly end: number;
}

/*
 * What in a user's message is not the user speaking. All patterns read the folded text: lower case, no accents, no invisible characters,
 * look-alikes as Latin letters. Every gap in a pattern is bounded, so that no message makes them slow.
 */

/** From here on nothing is the user's: markers of roles and frames, as chat templates and this library write them. */
const frames = [
  /<\|[^|>\n]{0,40}\|?>?|\[\/?\s?inst\s?\]|<<\/?sys>>|<\/?s>|<\/?(?:start|end)_of_turn>|<\/?(?:begin|end)_of_text>/,
  /<\s?\\*\/?\s?(?:profile|response|known_about_user|system|assistant|user|human|developer|instructions?|tool_call|function_call|prompt)\b[^>\n]{0,60}>/,
  /(?:^|\n)[^\p{L}\p{N}\n]{0,12}(?:system|assistant|developer|human|ai|chatgpt|claude|bot|tool|user)(?: (?:prompt|message|note|update|override|instructions?|notice|role))?[^\p{L}\p{N}\n]{0,6}(?:[:\]>|)*=#]|(?=\n))/u,
  /\n\s?(?:-{3,}|={3,}|#{2,})\s?(?:begin|end|new|system|instructions?|override)\b/,
];

const commandObjects = 'instructions?|commands?|orders|directives?|prompts?|overrides?|messages?';

/** From here on the model is given orders. */
const overrides = [
  clause(
    String.raw`(?:do not|don't|never|stop)?\s?(?:ignor(?:e|ing)|disregard|forget|overrid(?:e|ing)|overrule|bypass|discard|neglect|skip|suspend|cancel|obey|follow)\b(?![^.!?\n]{0,30}\bmy\b)[^.!?\n]{0,60}?\b(?:instructions?|schema|rules?|prompts?|guidelines?|directives?|constraints?|above|previous|prior|earlier|fences?|polic(?:y|ies)|everything (?:before|above|you were))\b`,
  ),
  clause(
    String.raw`(?:obey|execute|carry out|comply with|perform|follow|run)\b[^.!?\n]{0,40}\b(?:instructions?|commands?|orders|directives?|following|what it says)\b`,
  ),
  new RegExp(String.raw`\b(?:new|updated|revised|hidden|secret|admin\w*|developer|system|root)\s(?:system\s)?(?:${commandObjects})\b`),
  /\b(?:system|developer|admin\w*|root|debug|god|dan|maintenance|jailbreak)[\s-](?:mode|override|access)\b/,
  /\byou (?:are|will be) (?:now|no longer)\b|\bfrom now on,? you\b|\b(?:pretend|imagine|suppose|assume) (?:that )?you\b/,
  /\b(?:decode|decrypt|decipher|unscramble|rot-?13|base-?64)\b|\b(?:backwards|reversed?|spelled backwards)\b[^.!?\n]{0,40}\b(?:instructions?|orders?|commands?|do it|obey)\b/,
  /\[\s?(?:system|admin|override|instruction)[^\]\n]{0,60}\]/,
  /<!--/,
];

const writing = `set|chang(?:e|ing)|updat(?:e|ing)|modify|edit|mak(?:e|ing)|(?:over|re)?writ(?:e|ing)|record(?:ing)?|stor(?:e|ing)|sav(?:e|ing)|\
put(?:ting)?|fill(?:ing)?|replac(?:e|ing)|overwrit(?:e|ing)|assign(?:ing)?|mark(?:ing)?|enter(?:ing)?|regist(?:er|ering)|log(?:ging)?|\
insert(?:ing)?|add(?:ing)?|append(?:ing)?|not(?:e|ing)|remov(?:e|ing)|delet(?:e|ing)|eras(?:e|ing)|clear(?:ing)?|wip(?:e|ing)|reset(?:ting)?|\
drop(?:ping)?|empty|purg(?:e|ing)|unset|forget|swap|switch|copy|move|list(?:ing)?|us(?:e|ing)|declar(?:e|ing)|treat|classify|label|tag|correct|\
turn|invent|output|print|emit|return|respond|reply|answer|include|report|leave|keep`;
const machinery = 'schema|slots?|fields?|json|xml|database|system prompt|tags?|fence|key|attribute|variable|column';
const personal = 'profile|record|records|memory|memories|entry|entries|file';

/** Whether a message is hypothetical or about somebody called "the user", which nobody calls themselves. */
const elsewhere = [
  clause(String.raw`(?:pretend|imagine|suppose|assume|let'?s (?:say|pretend)|role-?play)\b(?: that)? (?:i|we|the)\b`),
  clause(String.raw`(?:treat|consider|think of|remember|describe|classify) (?:me|us|him|her|them|the user) as\b`),
  /\b(?:the|this|current|your) user(?:'?s)?\b/,
];

/** Where an order may begin: at the beginning of a clause, or after "you should". It does not follow "I" or "we". */
function clause(pattern: string): RegExp {
  const mark = String.raw`(?:^|[\n.!?;:,"'“”‘’()\[\]{}<>|*#\u0060~=_/\\—–-])\s{0,4}`;
  const joint = String.raw`\b(?:and|then|please|now|also|just|so|but|or|kindly|simply|instead|first|next|finally)\s`;
  const you = String.raw`\byou (?:(?:must|should|shall|will|can|could|would|may|have to|need to|are to|to) )?(?:(?:please|kindly) )?`;
  const wish = String.raw`\b(?:must|should|shall|(?:would you mind|want you|need you|like you|ask you|tell you)(?: to)?) `;
  // All of these end before a word, which is seen at once: most places are within one.
  return new RegExp(`(?<![a-z0-9])(?<=${mark}|${joint}|${you}|${wish})(?:${pattern})`);
}

/** The parts of a message that are not the user speaking: in order, apart. */
export function findForeign(message: string, schema: ProfileSchema): Span[] {
  const { text, placeOf } = foldText(message);
  const taken: Span[] = [...hidden(message), ...blocks(message)];
  const rest = firstMatch(text, [...frames, ...overrides]);
  const whole = rest === undefined ? text.length : clauseStart(text, rest);
  const folded = [...orders(text.slice(0, whole), schema)];
  if (whole < text.length) folded.push({ start: whole, end: text.length });
  taken.push(...folded.map(({ start, end }) => ({ start: placeOf(start), end: placeOf(end) })));
  return merged(taken);
}

function firstMatch(text: string, patterns: readonly RegExp[]): number | undefined {
  const found = patterns.map((pattern) => text.search(pattern)).filter((at) => at >= 0);
  return found.length > 0 ? Math.min(...found) : undefined;
}

/** The beginning of the clause that holds this place: what comes before a comma or a full stop is another. */
function clauseStart(text: string, at: number): number {
  const before = text.slice(0, at);
  return Math.max(0, ...['.', '!', '?', '\n', ';', ',', ':'].map((mark) => before.lastIndexOf(mark) + 1));
}

/** Text that is made not to be seen as it is read: overridden direction, and the invisible copies of ASCII. */
function* hidden(message: string): Generator<Span> {
  for (const { 0: match, index } of message.matchAll(/[\u202d\u202e\u2066-\u2068][^\u202c\u2069]*[\u202c\u2069]?|[\u{e0000}-\u{e007f}]+/gu))
    yield { start: index, end: index + match.length };
}

/** Code, quoted lines, JSON, and what may be an encoding. */
function* blocks(message: string): Generator<Span> {
  const patterns = [
    /(?:```|~~~)[\s\S]*?(?:```|~~~|$(?![\s\S]))/g,
    /(?:^|\n)[ \t]*>[^\n]*/g,
    /[a-z0-9+/_-]{32,}={0,2}/gi,
    /(?:\b[a-z][ .*_-]{1,3}){5,}[a-z]\b/gi,
    /(?:\\x[0-9a-f]{2}|\\u[0-9a-f]{4}|%[0-9a-f]{2}|&#x?[0-9a-f]{1,6};){4,}[^\n]*/gi,
  ];
  for (const pattern of patterns)
    for (const { 0: match, index } of message.matchAll(pattern)) yield { start: index, end: index + match.length };
  // From the first key of JSON to the last brace: whatever stands between is no sentence.
  const json = message.search(/[{[][^{}[\]"'\n]{0,20}["'][\w-]{1,40}["']\s{0,4}:/);
  if (json >= 0) yield { start: json, end: Math.max(message.lastIndexOf('}'), message.lastIndexOf(']'), json) + 1 };
}

/**
 * Sentences that tell the model what to write into a slot, from the clause in which they do so; and what follows them up to the next
 * sentence in which somebody says "I".
 */
function* orders(text: string, schema: ProfileSchema): Generator<Span> {
  const patterns = orderPatterns(schema);
  let isOrdered = false;
  for (const { 0: sentence, index } of text.matchAll(/[^.!?\s][^.!?\n]*(?:[.!?\n]+|$)/g)) {
    const at = firstMatch(sentence, patterns);
    if (at !== undefined) {
      isOrdered = true;
      yield { start: index + clauseStart(sentence, at), end: index + sentence.length };
    } else if (isOrdered && !/\b(?:i|i'm|im|my|mine|me|we|our|us)\b/.test(sentence)) {
      yield { start: index, end: index + sentence.length };
    } else isOrdered = false;
  }
}

const patternsOf = new WeakMap<ProfileSchema, readonly RegExp[]>();

function orderPatterns(schema: ProfileSchema): readonly RegExp[] {
  const known = patternsOf.get(schema);
  if (known) return known;
  const names = Object.values(schema.slots as Readonly<Record<string, SlotDefinition>>)
    .flatMap(nameForms)
    .join('|');
  const ownedBefore = String.raw`(?<!\b(?:my|our|i|me)\s(?:[\w-]{1,20}\s){0,3})`;
  // The name is looked for first: what must not stand before it takes longer.
  const slotName = String.raw`\b(?=${names})${ownedBefore}(?:${names})`;
  const gap = String.raw`\b[^.!?\n]{0,80}?`;
  const patterns = [
    clause(String.raw`(?:${writing})${gap}\b(?:${machinery})\b`),
    clause(String.raw`(?:${writing})${gap}${ownedBefore}\b(?:${personal}|${names})\b`),
    clause(
      String.raw`(?:${writing})${gap}\b(?:everything|all|anything)\b[^.!?\n]{0,30}\b(?:you (?:know|have|remember)|known|facts|data|values|about (?:the|this))\b`,
    ),
    new RegExp(String.raw`${slotName}["'\]]?\s{0,3}(?:=|:=|->|=>|→|←|<-|≔)`),
    new RegExp(String.raw`\b(?:profile|slots?|user|schema|values)\s?[.[]\s?["']?(?:${names})\b`),
    new RegExp(
      String.raw`${slotName}\b(?: \w{1,12}){0,3} (?:should|must|shall|needs to|has to|is to|has been|is hereby|will|now reads|is now set)\b`,
    ),
    new RegExp(String.raw`${slotName} (?:slot|field|value|entry|line|attribute|key)\b`),
    ...elsewhere,
  ];
  patternsOf.set(schema, patterns);
  return patterns;
}

const namesOf = new WeakMap<SlotDefinition, RegExp>();

/** Finds a slot's key or label in a folded text. */
export function slotNames(slot: SlotDefinition): RegExp {
  let names = namesOf.get(slot);
  if (!names) {
    names = new RegExp(String.raw`(?<![\p{L}\p{N}])(?:${nameForms(slot).join('|')})(?![\p{L}\p{N}])`, 'u');
    namesOf.set(slot, names);
  }
  return names;
}

function nameForms({ key, label }: SlotDefinition): string[] {
  const spelled = [key, key.replace(/(\p{Ll})(\p{Lu})/gu, '$1 $2'), label].map((name) => foldText(name).text.trim());
  return [...new Set(spelled)].map((name) =>
    name
      .split(/[\s_-]+/)
      .map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, '\\$&').replace(/s$/, ''))
      .join(String.raw`[\s_-]{0,3}`)
      .concat('s?'),
  );
}

function merged(spans: readonly Span[]): Span[] {
  const result: Span[] = [];
  for (const { start, end } of spans.filter((span) => span.end > span.start).sort((a, b) => a.start - b.start)) {
    const last = result.at(-1);
    if (last && start <= last.end) result[result.length - 1] = { start: last.start, end: Math.max(last.end, end) };
    else result.push({ start, end });
  }
  return result;
}
