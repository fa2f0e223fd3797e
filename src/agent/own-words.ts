import { speaksOf } from '../language/index';
import type { ProfileSchema, SlotDefinition } from '../profile/index';
import { remember } from '../remember';
import { foldText } from './folded-text';
import { findForeign, slotNames } from './foreign-text';

/** A message that the user sent. The assistant's words are never evidence, so they have no place here. */
export interface UserMessage {
  readonly id: string;
  readonly content: string;
}

/** Stands for each letter and digit that does not count: a letter, so that what stood around it does not move together. */
const blot = 'ꙮ';

/**
 * What a user sent, divided into what they say of themselves and what is foreign: forged frames and roles, code, JSON, quoted lines,
 * hidden text, and instructions to the model. Read by patterns of English, so an opinion and not a proof; `docs/security.md` says how far
 * it goes. Both halves are as long as the message, with the other half's letters blotted out, so that places in them are places in it.
 */
export class SpokenMessage implements UserMessage {
  readonly id: string;
  readonly content: string;
  readonly #schema: ProfileSchema;
  #voices: Voices | undefined;

  constructor(schema: ProfileSchema, { id, content }: UserMessage) {
    this.#schema = schema;
    this.id = id;
    this.content = content;
  }

  get own(): string {
    return this.#read().own;
  }

  get foreign(): string {
    return this.#read().foreign;
  }

  /** Whether there is foreign text in it. */
  get isMixed(): boolean {
    return this.#read().isMixed;
  }

  /** Whether the user's own words are about what the slot is about. */
  ownSpeaksOf(slot: SlotDefinition): boolean {
    return slotsOfSpeaker(this.own, this.#schema).has(slot.key);
  }

  /** Whether the foreign text is about the slot. */
  foreignSpeaksOf(slot: SlotDefinition): boolean {
    return this.isMixed && slotsIn(this.foreign, this.#schema).has(slot.key);
  }

  /** Whether the foreign text is about everything that is known. */
  get foreignSpeaksOfAll(): boolean {
    return this.isMixed && isAboutAll(this.foreign);
  }

  #read() {
    this.#voices ??= voicesOf(this.content, this.#schema);
    return this.#voices;
  }
}

interface Voices {
  readonly own: string;
  readonly foreign: string;
  readonly isMixed: boolean;
}

/** Remembers, schema by schema: a message is read for every value that is proposed, and again in the turns that follow. */
function rememberFor<T>(read: (text: string, schema: ProfileSchema) => T): (text: string, schema: ProfileSchema) => T {
  const known = new WeakMap<ProfileSchema, (text: string) => T>();
  return (text, schema) => {
    let recall = known.get(schema);
    if (!recall) {
      recall = remember((unread) => read(unread, schema));
      known.set(schema, recall);
    }
    return recall(text);
  };
}

const voicesOf = rememberFor(divide);

const allOfThem =
  /\b(?:all|every|each|any|whole|entire|rest|others?)\b[^.!?\n]{0,30}\b(?:slots?|fields?|values?|profile|facts?|items?|records?|memor(?:y|ies)|data|know|known)\b|\beverything\b/;

/** How people speak of themselves without naming the subject: "I love tea" is about interests. By a word of the subject. */
const firstPerson: readonly (readonly [subject: string, form: RegExp])[] = [
  ['hobby', /\b(?:i|we)(?:'ve|'d)?(?: \w{2,12}){0,2} (?:like|love|enjoy|prefer|play|collect|practi[cs]e|started|am into)\b|\bi'm into\b/],
  ['job', /\bi(?:'m| am) an? |\bas an? \w+,? i\b|\bi (?:became|teach|drive|sell|nurse|run)\b/],
  ['city', /\b(?:i|we)(?:'m|'ve| am|'re| are| have)?(?: just)? (?:from|in|moved|moving|settled|born)\b/],
  ['age', /\bi(?:'m| am|'ve turned| turned)(?: \w{3,6})? (?:\d{1,3}|[a-z]+teen|twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety)\b/],
  ['personality', /\bi(?:'m| am|'ve always been)(?: an?)? (?:bit|very|quite|rather|really|too|so|always|never|kind)\b/],
];

/** The keys of the slots that a text is about, by their names and the words usual for them. */
const slotsIn = rememberFor((original, schema): ReadonlySet<string> => {
  const { text } = foldText(original);
  const named = Object.values<SlotDefinition>(schema.slots).filter((slot) => slotNames(slot).test(text));
  return new Set([...named.map(({ key }) => key), ...speaksOf(text, schema)]);
});

/** The same for what a user says of themselves. */
const slotsOfSpeaker = rememberFor((own, schema): ReadonlySet<string> => {
  const { text } = foldText(own);
  const subjects = firstPerson.filter(([, form]) => form.test(text)).map(([subject]) => subject);
  return new Set([...slotsIn(own, schema), ...subjects.flatMap((subject) => speaksOf(subject, schema))]);
});

const isAboutAll = remember((text) => allOfThem.test(foldText(text).text));

function divide(content: string, schema: ProfileSchema): Voices {
  const spans = findForeign(content, schema);
  if (spans.length === 0) return { own: content, foreign: blotOut(content), isMixed: false };
  let own = '';
  let foreign = '';
  let at = 0;
  for (const { start, end } of spans) {
    own += content.slice(at, start) + blotOut(content.slice(start, end));
    foreign += blotOut(content.slice(at, start)) + content.slice(start, end);
    at = end;
  }
  return { own: own + content.slice(at), foreign: foreign + blotOut(content.slice(at)), isMixed: true };
}

/** As long as the text in UTF-16 code units. */
function blotOut(text: string): string {
  return text.replace(/[\p{L}\p{N}\p{M}]+/gu, (characters) => blot.repeat(characters.length));
}
