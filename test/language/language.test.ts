import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import {
  asksAbout,
  contentWords,
  isApology,
  isDispleased,
  isFlattery,
  isGreeting,
  isOnlyGreeting,
  isQuestion,
  isRepetition,
  sentences,
  shareTopic,
  speaksOf,
  stem,
  wasAsked,
  words,
} from '../../src/language/index';
import { ProfileSchema, slot } from '../../src/profile/index';
import { remember } from '../../src/remember';

const schema = ProfileSchema.standard;

describe('words and sentences', () => {
  it('keeps inner apostrophes and drops case, punctuation and accents', () => {
    expect(words('I’m fine — really! Café?')).toEqual(["i'm", 'fine', 'really', 'cafe']);
  });

  it('splits at closing punctuation and line breaks, not inside titles and numbers', () => {
    expect(sentences('I met Dr. Lee. He is 3.5 feet away!\nOk')).toEqual(['I met Dr. Lee.', 'He is 3.5 feet away!', 'Ok']);
  });

  it('reads recorded chats, where a blank stands before the punctuation', () => {
    expect(sentences('i am good . how are you ?')).toEqual(['i am good .', 'how are you ?']);
  });

  it.each([
    ['hiking', 'hikes'],
    ['running', 'run'],
    ['nurses', 'nurse'],
    ['married', 'marry'],
    ['studying', 'studies'],
    ['movies', 'movie'],
    ['glasses', 'glass'],
    ['worked', 'works'],
  ])('gives "%s" and "%s" one stem', (a, b) => {
    expect(stem(a)).toBe(stem(b));
  });

  it.each([
    ['sing', 's'],
    ['bed', 'b'],
    ['bus', 'bu'],
    ['king', 'k'],
  ])('leaves "%s" alone', (word) => {
    expect(stem(word)).toBe(word);
  });

  it('leaves out words without a subject', () => {
    expect([...contentWords('I really like the nurses that I work with, and you?')]).toEqual(['nurs', 'work']);
  });
});

describe('asksAbout', () => {
  it.each([
    ['Where do you live?', 'location'],
    ['where are you from ?', 'location'],
    ['Which city do you call home?', 'location'],
    ['What do you do for a living?', 'occupation'],
    ['So what do you do?', 'occupation'],
    ["What's your job?", 'occupation'],
    ['Do you work?', 'occupation'],
    ['What do you do for fun?', 'interests'],
    ['Any hobbies?', 'interests'],
    ['What do you like to do in your free time?', 'interests'],
    ['How old are you?', 'age'],
    ['Are you a man or a woman?', 'gender'],
    ['What did you study?', 'educationBackground'],
    ['Where did you go to school?', 'educationBackground'],
    ['How would your friends describe you?', 'personalityTraits'],
    ['Are you married?', 'maritalStatus'],
    ['Do you have any kids?', 'familyBackground'],
    ['Tell me about your family.', 'familyBackground'],
    ['Is there anything else I should know?', 'otherInformation'],
  ])('"%s" asks for %s and nothing else', (question, expected) => {
    expect(asksAbout(question, schema)).toEqual([expected]);
  });

  it.each([
    'How are you today?',
    'And you?',
    'Do you like your job?',
    'What do you enjoy most about your work?',
    'How long have you lived there?',
    'Why did you study that?',
    'I work as a nurse.',
    'You live in Leeds.',
    'Really?',
  ])('"%s" asks for no slot', (text) => {
    expect(asksAbout(text, schema)).toEqual([]);
  });

  it('finds every slot that several questions ask for, in the order of the schema', () => {
    expect(asksAbout('Where do you live? How old are you?', schema)).toEqual(['age', 'location']);
  });

  it('goes by the words of the label and the description where a slot is not a standard one', () => {
    const own = ProfileSchema.define({
      pets: slot.many(z.string(), { description: 'animals at home' }),
      favoriteFood: slot.one(z.string()),
    });
    expect(asksAbout('Do you have a pet?', own)).toEqual(['pets']);
    expect(asksAbout('Are there any animals in your flat?', own)).toEqual(['pets']);
    expect(asksAbout('What food do you cook?', own)).toEqual(['favoriteFood']);
    expect(asksAbout('Where do you live?', own)).toEqual([]);
  });

  it('takes any personal question for one about free-form facts when there is no other slot', () => {
    const free = ProfileSchema.define({ facts: slot.open() });
    expect(asksAbout('Do you have any dogs?', free)).toEqual(['facts']);
    expect(asksAbout('How are you?', free)).toEqual([]);
  });
});

describe('speaksOf', () => {
  it('names the slots by the words usual for them', () => {
    expect(speaksOf('That job keeps you busy.', schema)).toEqual(['occupation']);
    expect(speaksOf('What a nice town.', schema)).toEqual(['location']);
    expect(speaksOf('That keeps you busy.', schema)).toEqual([]);
  });

  it('finds the everyday topic of two texts', () => {
    expect(shareTopic('I have one brother.', 'My sisters live far away.')).toBe(true);
    expect(shareTopic('I have one brother.', 'My job is hard.')).toBe(false);
  });
});

describe('questions', () => {
  it('are told by the mark, or by how they begin where the mark is missing', () => {
    expect(isQuestion('where do you live ?')).toBe(true);
    expect(isQuestion('what do you do for work')).toBe(true);
    expect(isQuestion('When I work I sing.')).toBe(false);
  });

  it('were asked before when the words or the subject words are the same', () => {
    expect(wasAsked('Where do you live?', ['Hello. where do you live ?'])).toBe(true);
    expect(wasAsked('So where do you live now?', ['Where do you live?'])).toBe(true);
    expect(wasAsked('Where do you work?', ['Where do you live?'])).toBe(false);
    expect(wasAsked('Where do you live?', ['What do you do for a living?'])).toBe(false);
    expect(wasAsked('How are you?', ['And you?'])).toBe(false);
  });
});

describe('manner', () => {
  it.each(['You are so inspiring!', "You're amazing.", 'Great question!', 'That is incredible.', 'What an impressive career.'])(
    '"%s" is flattery',
    (text) => {
      expect(isFlattery(text)).toBe(true);
    },
  );

  it.each(['A nurse, that keeps you busy.', 'That sounds nice.', 'You are a nurse.', 'I love jazz too.', 'Good for you.'])(
    '"%s" is not flattery',
    (text) => {
      expect(isFlattery(text)).toBe(false);
    },
  );

  it('tells a greeting from a message that begins with one', () => {
    expect(isOnlyGreeting('Hello there, how are you?')).toBe(true);
    expect(isGreeting('Hi! I am a nurse.')).toBe(true);
    expect(isOnlyGreeting('Hi! I am a nurse.')).toBe(false);
    expect(isGreeting('History is fun.')).toBe(false);
  });

  it.each([
    'You already asked me that.',
    'I just told you.',
    'Please stop flattering me.',
    'You keep asking about my age.',
    'No need to flatter me.',
  ])('"%s" shows displeasure', (text) => {
    expect(isDispleased(text)).toBe(true);
  });

  it.each(['I work as a nurse.', 'I already have two dogs.', "I don't like that show."])('"%s" shows none', (text) => {
    expect(isDispleased(text)).toBe(false);
  });

  it('knows apologies', () => {
    expect(isApology('Sorry, my mistake.')).toBe(true);
    expect(isApology('Where do you live?')).toBe(false);
  });

  it('finds a repeated reply, question or longer sentence, and lets short remarks return', () => {
    const earlier = ['I see. That must keep you busy. Where do you live?'];
    expect(isRepetition('i see that must keep you busy where do you live', earlier)).toBe(true);
    expect(isRepetition('Right. Where do you live?', earlier)).toBe(true);
    expect(isRepetition('That must keep you busy.', earlier)).toBe(true);
    expect(isRepetition('I see. What do you cook?', earlier)).toBe(false);
    expect(isRepetition('', earlier)).toBe(false);
  });
});

describe('a memory of what texts came to', () => {
  it('is asked instead of reading again, and holds so many characters of them', () => {
    const read: string[] = [];
    const recall = remember((text) => read.push(text), 3 * 128 + 10);
    for (const text of ['tea', 'tea', 'coffee', 'tea']) recall(text);
    expect(read).toEqual(['tea', 'coffee']);
    recall('hello'); // 3 + 6 + 5 characters are too many, each text taking 128 more
    for (const text of ['hello', 'tea']) recall(text);
    expect(read).toEqual(['tea', 'coffee', 'hello', 'tea']);
  });
});
