import type { SlotDefinition } from '../profile/index';
import { stem } from './words';

/** A slot as far as its words go. */
export type NamedSlot = Pick<SlotDefinition, 'key' | 'label' | 'description' | 'open'>;

/** What people say when they ask about, or speak of, one kind of fact. */
export interface Topic {
  /** Words in a slot's label that mark it as being of this kind. */
  readonly labels: readonly string[];
  /** Forms of a question that ask for such a fact; matched on lower-case words without punctuation and with contractions written out. */
  readonly asks: readonly RegExp[];
  /** Words that speak of it without asking. */
  readonly vocabulary: readonly string[];
}

const topics: readonly Topic[] = [
  {
    labels: ['age', 'birthday'],
    asks: [/\bhow old are you\b/, /\byour age\b/, /\bwhat age\b/, /\b(when|what year|which year) (is your birthday|were you born)\b/],
    vocabulary: ['age', 'old', 'older', 'young', 'younger', 'year', 'birthday'],
  },
  {
    labels: ['gender', 'sex'],
    asks: [/\b(your|what) gender\b/, /\bare you (an? )?(man|woman|male|female|boy|girl|guy|lady)\b/],
    vocabulary: ['man', 'woman', 'male', 'female', 'guy', 'lady', 'gender'],
  },
  {
    labels: ['interest', 'interests', 'hobby', 'hobbies', 'activities'],
    asks: [
      /\b(hobby|hobbies|interests?|pastimes?)\b/,
      /\bfor fun\b/,
      /\b(free|spare|leisure) time\b/,
      /\bwhat (else )?(do|would) you (like|love|enjoy|prefer)\b/,
      /\bdo you (also )?(like|love|enjoy)\b/,
      /\bwhat (else )?are you into\b/,
      /\b(on|at) (the |your )?(weekends?|days? off|evenings?)\b/,
      /\bto (relax|unwind)\b/,
    ],
    vocabulary: ['hobby', 'hobbies', 'pastime', 'weekend', 'relax', 'relaxing'],
  },
  {
    labels: ['education', 'school', 'schooling', 'degree', 'studies'],
    asks: [/\b(schools?|college|university|degree|educat\w*|major(ed)?|stud(y|ies|ied|ying)|graduated?)\b/],
    vocabulary: ['school', 'college', 'university', 'degree', 'study', 'studies', 'class', 'learn', 'learning', 'student', 'course'],
  },
  {
    labels: ['personality', 'trait', 'traits', 'character', 'temperament'],
    asks: [
      /\bpersonality\b/,
      /\bdescribe (you|yourself)\b/,
      /\b(kind|sort|type) of person\b/,
      /\bwhat are you like\b/,
      /\byour (character|temperament|nature|traits?)\b/,
      /\bare you (more of |rather )?(an? )?(shy|outgoing|quiet|introvert\w*|extrovert\w*|optimist\w*)\b/,
    ],
    vocabulary: ['person', 'personality', 'character', 'nature', 'trait', 'temper'],
  },
  {
    labels: ['occupation', 'job', 'work', 'profession', 'career', 'employment'],
    asks: [
      /\bfor (a living|work)\b/,
      /\bwhat do you do( now| then| these days| all day)?$/,
      /\b(your|a|what|which) (day )?(job|occupation|profession|career)\b/,
      /\b(line|kind|sort|type) of (work|job)\b/,
      /\bwhat is your work\b/,
      /\b(where|who|what) do you work\b/,
      /\bare you (working|employed|retired)\b/,
      /\bdo you work\b(?! (out|nights?|shifts?|long|hard|alone|there|late))/,
    ],
    vocabulary: ['job', 'work', 'career', 'profession', 'shift', 'boss', 'office', 'colleague', 'business'],
  },
  {
    labels: ['marital', 'relationship', 'marriage', 'partner'],
    asks: [
      /\b(married|single|divorced|widowed|engaged|dating|marital|spouse|husband|wife|girlfriend|boyfriend)\b/,
      /\b(a|your) partner\b/,
      /\b(in a relationship|relationship status|seeing anyone|someone special)\b/,
    ],
    vocabulary: ['married', 'marriage', 'single', 'husband', 'wife', 'partner', 'spouse', 'wedding', 'relationship', 'divorce'],
  },
  {
    labels: ['family', 'children', 'parents'],
    asks: [
      /\b(family|kids?|children|parents?|siblings?|brothers?|sisters?|sons?|daughters?|mom|mother|dad|father|grandparents|relatives)\b/,
      /\bwho do you live with\b/,
    ],
    vocabulary: [
      'family',
      'kid',
      'child',
      'children',
      'parent',
      'brother',
      'sister',
      'sibling',
      'mother',
      'father',
      'mom',
      'dad',
      'son',
      'daughter',
    ],
  },
  {
    labels: ['location', 'residence', 'city', 'country', 'home', 'hometown', 'address'],
    asks: [
      /\bwhere (do|are|did) you (live|living|stay|staying|from|based|located|come from|call home|settle)\b/,
      /\bwhere (is|do you call) home\b/,
      /\bwhere are you( now| right now| calling from| writing from)?$/,
      /\b(which|what) (city|town|country|state|region|area|place|part of)\b/,
      /\bdo you live (in|near|around|close)\b/,
      /\byour (location|city|town|hometown|country)\b/,
    ],
    vocabulary: ['place', 'city', 'town', 'area', 'live', 'living', 'country', 'neighbourhood', 'neighborhood', 'home'],
  },
];

/** The everyday topics that a text's words belong to, asking or not, each named by its first label; whatever the schema. */
export function topicsIn(spoken: ReadonlySet<string>): string[] {
  return topics.filter((topic) => topic.vocabulary.some((word) => spoken.has(stem(word)))).map((topic) => topic.labels[0]!);
}

/** Labels of slots that take any fact: nothing in particular asks about them. */
const freeForm = new Set(['other', 'facts', 'fact', 'persona', 'notes', 'miscellaneous', 'details', 'about']);
const openInvitations = [/\b(anything|something|what) else\b/, /\babout yourself\b/, /\bshould i know\b/, /\bmore about you\b/];

const nothing = new Set([
  'background',
  'status',
  'information',
  'info',
  'favorite',
  'favourite',
  'user',
  'current',
  'list',
  'name',
  'the',
  'of',
  'and',
  'a',
]);

function labelWords(slot: NamedSlot): string[] {
  return `${slot.label} ${slot.key.replace(/([a-z])([A-Z])/g, '$1 $2')}`
    .toLowerCase()
    .split(/[^\p{L}\p{N}]+/u)
    .filter((word) => word !== '');
}

/** Whether a slot takes any fact, so that no question is about it alone. */
export function isFreeForm(slot: NamedSlot): boolean {
  return slot.open || labelWords(slot).some((word) => freeForm.has(word));
}

const cache = new WeakMap<NamedSlot, Topic>();

/** The known topic of a standard slot; for any other slot, one made of the words of its label and description. */
export function topicOf(slot: NamedSlot): Topic {
  let topic = cache.get(slot);
  if (topic === undefined) {
    topic = findTopic(slot);
    cache.set(slot, topic);
  }
  return topic;
}

function findTopic(slot: NamedSlot): Topic {
  if (isFreeForm(slot)) return { labels: [], asks: openInvitations, vocabulary: [] };
  const label = labelWords(slot);
  const known = topics.find((topic) => label.some((word) => topic.labels.includes(word)));
  if (known !== undefined) return known;
  const own = [...label, ...(slot.description ?? '').toLowerCase().split(/[^\p{L}\p{N}]+/u)].filter(
    (word) => word.length > 2 && !nothing.has(word),
  );
  const vocabulary = [...new Set(own)];
  const asks = vocabulary.map((word) => new RegExp(`\\b${word.replace(/(?:ies|y|es|s|e)$/, '')}(?:y|ies|es|s|e|ing)?\\b`));
  return { labels: label, asks, vocabulary };
}
