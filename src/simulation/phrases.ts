import type { ProfileItem, ProfileSchema } from '../profile/index';
import { belongings, conditions } from './personas/values';

/** Why a scripted user tells something: it was asked, it felt like it, or it has just changed. */
export type Occasion = 'answer' | 'volunteer' | 'change';

type Phrases = Readonly<Record<Occasion, readonly string[]>>;

/** `{v}` is the value, `{a}` the value with its article, `{l}` the slot's label in lower case. */
const bySlot: Readonly<Record<string, Phrases>> = {
  age: {
    answer: ['I am {v} years old.', 'I turned {v} this year.', "I'm {v}, time really flies.", "I'm {v} now, since you ask."],
    volunteer: [
      'I feel old, I just turned {v}.',
      'Being {v} is not so bad.',
      'At {v} I need more sleep.',
      "I can't believe I'm {v} already.",
    ],
    change: [
      'I had my birthday, I am {v} now.',
      'Actually I just turned {v}.',
      "As of yesterday I'm {v}.",
      'There was cake, I turned {v} today.',
    ],
  },
  gender: {
    answer: ['I am {v}, if that helps.', 'You can put down {v}.', "I'm {v}, since you ask.", 'Well, I am {v}.'],
    volunteer: ["Just so you know, I'm {v}.", 'By the way, I am {v}.', "In case you wonder, I'm {v}.", 'You are talking to {a} person.'],
    change: ['I live as {v} now.', "From now on I'm {v}.", 'Actually I am {v} now.', 'I see myself as {v} now.'],
  },
  interests: {
    answer: ['I really like {v}.', 'Mostly {v} in my free time.', 'I enjoy {v} a lot.', 'I love {v} on weekends.', "I'm a big fan of {v}."],
    volunteer: [
      'I spent the weekend with {v}.',
      'I could do {v} all day.',
      'I look forward to {v} tonight.',
      'Nothing beats some {v} after work.',
      'My new thing is {v}.',
    ],
    change: [
      "Actually I'm more into {v} now.",
      'I gave up my old hobby for {v}.',
      'These days I prefer {v}.',
      'I have switched to {v} lately.',
    ],
  },
  educationBackground: {
    answer: ['I studied {v}.', 'My degree is in {v}.', 'I went to college for {v}.', 'I did {v} at university.'],
    volunteer: [
      'I still have my old {v} books.',
      'Back in college I studied {v}.',
      'My {v} degree hangs on the wall.',
      'I miss my {v} classes sometimes.',
    ],
    change: ['I went back to school for {v}.', "I'm studying {v} now.", 'I switched my degree to {v}.', 'Actually I study {v} these days.'],
  },
  personalityTraits: {
    answer: ["People say I'm {v}.", "I'm rather {v}, I think.", 'My friends call me {v}.', "I'd say I am {v}."],
    volunteer: ['I was too {v} again today.', "I guess I'm {a} person.", 'Being {v} is just how I am.', "My boss says I'm too {v}."],
    change: ['I have become more {v} lately.', "I'm more {v} these days.", 'These days people call me {v}.', 'I am trying to be {v} now.'],
  },
  occupation: {
    answer: ['I work as {a}.', "I'm {a} by trade.", 'My job? I am {a}.', 'I earn my living as {a}.'],
    volunteer: ['My day as {a} was long.', 'Being {a} keeps me busy.', "I'm {a}, so I get up early.", 'Life as {a} is tiring.'],
    change: ['I got a new job as {a}.', 'Actually I work as {a} now.', "I changed jobs, I'm {a} now.", 'I left my job to be {a}.'],
  },
  maritalStatus: {
    answer: ['I am {v}, since you ask.', "I'm {v} at the moment.", "Right now I'm {v}.", "I'm {v}, that's all."],
    volunteer: ["I'm {v} and fine with it.", 'Being {v} suits me well.', "You know, I'm {v}.", "By the way, I'm {v}."],
    change: ["Big news, I'm {v} now.", 'Actually I am {v} now.', "Since last month I'm {v}.", "Things changed, I'm {v} now."],
  },
  familyBackground: {
    answer: ['I have {a}.', "My family? I've got {a}.", 'Well, I have {a}.', "There's my family, I have {a}."],
    volunteer: [
      'You know, I have {a}.',
      'I called home, I have {a}.',
      'I have {a}, we talk every week.',
      'I have {a} coming over tonight.',
    ],
    change: [
      'Good news, I have {a} now.',
      'My family grew, I have {a} now.',
      'Now I have {a}, imagine that.',
      'I have {a} now, since May.',
    ],
  },
  location: {
    answer: ['I live in {v}.', "I'm based in {v}.", 'My home is in {v}.', "I'm over in {v}."],
    volunteer: ['It rains in {v} today.', 'The streets of {v} are full today.', 'I love my flat in {v}.', 'I walked around {v} all day.'],
    change: ['I just moved to {v}.', 'Actually I live in {v} now.', 'My new home is in {v}.', 'I packed up and moved to {v}.'],
  },
};

const belonging: Phrases = {
  answer: ['I own {a}.', "There's {a} at my place.", 'Well, I do have {a}.', "One thing, I've got {a}."],
  volunteer: ['I just looked after my {v}.', 'My {v} keeps me busy.', 'I was busy with my {v}.', 'I would never give away my {v}.'],
  change: ['I just got {a}.', 'Now I own {a}.', 'I have {a} these days.', 'I bought {a} last week.'],
};

const condition: Phrases = {
  answer: ['I am {v}, for example.', "Well, I'm {v}.", "One thing, I'm {v}.", 'You could note that I am {v}.'],
  volunteer: ["By the way, I'm {v}.", "Did I mention that I'm {v}?", 'Being {v} is normal for me.', 'I am {v}, just so you know.'],
  change: ["Actually I'm {v} now.", "It turns out I'm {v}.", 'I am {v} these days.', 'I became {v} last month.'],
};

/** For slots of a schema that this file does not know. */
const anySlot: Phrases = {
  answer: ["As for {l}, it's {v}.", "When it comes to {l}, I'd say {v}.", 'For {l}, put down {v}.', 'You asked about {l}: {v}.'],
  volunteer: ["By the way, my {l}: it's {v}.", 'Speaking of {l}, I think of {v}.', 'You know, with {l} it is {v}.', "My {l}? That's {v}."],
  change: [
    "Things changed, for {l} it's {v} now.",
    "Actually, for {l} it's {v} now.",
    "These days, with {l}, it's {v}.",
    'I changed my mind on {l}: {v}.',
  ],
};

/** A value of so many words is a sentence, and is said as it stands. */
const sentenceWords = 4;

/** Every way in which the scripted user can tell this item. */
export function disclosingPhrases(item: ProfileItem, occasion: Occasion, schema: ProfileSchema): string[] {
  if (item.text.split(/\s+/).length >= sentenceWords) return [/[.!?]$/.test(item.text) ? item.text : `${item.text}.`];
  const label = (schema.slots[item.slot]?.label ?? item.slot).toLowerCase();
  return phrasesOf(item)[occasion].map((phrase) =>
    phrase.replaceAll('{v}', item.text).replaceAll('{a}', withArticle(item.text)).replaceAll('{l}', label),
  );
}

function phrasesOf(item: ProfileItem): Phrases {
  if ((belongings as readonly string[]).includes(item.text)) return belonging;
  if ((conditions as readonly string[]).includes(item.text)) return condition;
  return bySlot[item.slot] ?? anySlot;
}

function withArticle(value: string): string {
  if (/^(one|two|three|four|five|six|many|\d+) /.test(value) || /^twin .*s$/.test(value)) return value;
  return `${/^[aeiou]/i.test(value) ? 'an' : 'a'} ${value}`;
}

/** What a scripted user says without telling anything about itself. */
export const impersonal = {
  greeting: ['Hello', 'Hi there!', 'Hey!', 'Good morning!', 'Hi, how are you?'],
  smallTalk: [
    'Not much today.',
    'Just a normal day here.',
    "I'm a bit tired, that's all.",
    'All good so far.',
    'Nothing special, really.',
    "It's been a long week.",
    'I slept well last night.',
    'Just drinking my coffee.',
    'Oh well, you know how it is.',
    "I don't know what to say.",
  ],
  question: ['What about you?', 'And how are you doing?', 'What do you think?', 'What would you do?'],
  alreadyTold: ['I already told you that.', 'You already asked me that.', 'I already said that.', 'I already answered that one.'],
  refusal: ["I'd rather not say.", "I don't want to talk about that.", "That's private, I think.", "Let's skip that one."],
  repetition: ['You already said that.', 'You just said that.', 'You keep saying that.', 'Please stop repeating yourself.'],
  flattery: ['No need to flatter me.', "Please don't flatter me.", 'Please stop flattering me.', 'No more compliments, please.'],
} as const;
