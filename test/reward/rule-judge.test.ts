import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { ProfileSchema, slot } from '../../src/profile/index';
import { type Criterion, type JudgeContext, passes, ruleJudge } from '../../src/reward/index';

const golden = ProfileSchema.standard.profile({
  age: 34,
  occupation: 'nurse',
  location: 'Leeds',
  interests: ['hiking', 'jazz'],
  maritalStatus: 'married',
});

const item = (slotName: string, text: string) => golden.items().find((each) => each.slot === slotName && each.text === text)!;
const occupation = item('occupation', 'nurse');
const location = item('location', 'Leeds');
const hiking = item('interests', 'hiking');

/** `dialogue` alternates and begins with the user; by default the user has just told their occupation. */
function context(
  reply: string,
  dialogue: string[] = ['Hello!', 'Hi! What do you do?', 'I work as a nurse.'],
  disclosed = [occupation],
): JudgeContext {
  return {
    dialogue: dialogue.map((content, index) => ({ role: index % 2 === 0 ? 'user' : 'assistant', content })),
    reply,
    golden,
    disclosed,
  };
}

async function verdict(...args: Parameters<typeof context>) {
  return ruleJudge().judge(context(...args));
}

async function passed(criterion: Criterion, ...args: Parameters<typeof context>) {
  return (await verdict(...args))[criterion].pass;
}

describe('ruleJudge', () => {
  it.each([
    ['A nurse, that keeps you busy. Where do you live?'],
    ['Nursing must be hard work! Do you like it?'],
    ['Oh, my aunt is a nurse too. What do you do after your shifts?'],
    ['That is a demanding job. What do you do for fun?'],
  ])('passes "%s" in everything', async (reply) => {
    const result = await verdict(reply);
    expect(passes(result), JSON.stringify(result)).toBe(true);
  });

  it('passes ordinary replies from chats between people', async () => {
    const schema = ProfileSchema.define({ persona: slot.open() });
    const profile = schema.profile({ persona: ['I have two dogs', 'I love to bake cookies', 'I live on a farm'] });
    const cases: [string, string][] = [
      ['i have two dogs . do you have any pets ?', 'no pets for me , but i like dogs . what are their names ?'],
      ['I bake cookies on sundays.', 'Yum, cookies are my weakness! What kind do you bake?'],
      ['i grew up on a farm', 'farm life sounds peaceful. do you still live there?'],
    ];
    for (const [message, reply] of cases) {
      const result = await ruleJudge().judge({
        dialogue: [
          { role: 'user', content: 'hi !' },
          { role: 'assistant', content: 'hello , how are you ?' },
          { role: 'user', content: message },
        ],
        reply,
        golden: profile,
        disclosed: profile.items(),
      });
      expect(passes(result), `${reply} ${JSON.stringify(result)}`).toBe(true);
    }
  });

  it('passes a greeting with an opening question on the first turn', async () => {
    expect(passes(await verdict('Hello! What do you do for a living?', ['Hello'], []))).toBe(true);
    expect(passes(await verdict('Hi there. How are you today?', ['Hello'], []))).toBe(true);
  });

  it.each([
    [''],
    ['?'],
    ['nurse nurse nurse nurse.'],
    ['I see. Where do you live?'],
    ['I work as a nurse. Where do you live?'],
    ['You work as a nurse. Where do you live?'],
    ['Great question! A nurse, how nice. Where do you live?'],
    ['A nurse. What is your job?'],
    ['A nurse? Nurse?'],
    ['Where do you live? How old are you? Are you married?'],
    ['A nurse. Tell me your age, job, hobbies, town and family?'],
    ['A nurse, that keeps you busy.'],
  ])('does not pass "%s"', async (reply) => {
    expect(passes(await verdict(reply))).toBe(false);
  });

  it('does not let one good reply be used again', async () => {
    const reply = 'A nurse, that keeps you busy. Where do you live?';
    const dialogue = ['Hello!', 'Hi!', 'I am a nurse.', reply, 'I already told you, I am a nurse.'];
    const result = await verdict(reply, dialogue);
    expect(result.naturalness).toEqual({ pass: false, reason: 'gives the same reply as earlier in this dialogue' });
    expect(result.engagement.pass).toBe(false);
    expect(result.logic.pass).toBe(false);
  });

  it('judges by its bounds, and refuses bounds that are none', async () => {
    expect((await ruleJudge({ maxWords: 5 }).judge(context('A nurse, that keeps you busy.'))).naturalness.reason).toBe(
      '6 words, more than 5',
    );
    expect(await ruleJudge({ maxWords: undefined }).judge(context('A nurse.'))).toEqual(await ruleJudge().judge(context('A nurse.')));
    expect(() => ruleJudge({ maxEcho: 0 })).toThrow(expect.objectContaining({ code: 'invalid-option' }));
    expect(() => ruleJudge({ maxWords: Number.NaN })).toThrow(expect.objectContaining({ code: 'invalid-option' }));
  });

  it('gives a reason for each of its verdicts', async () => {
    const results = [await verdict('A nurse, that keeps you busy. Where do you live?'), await verdict('')];
    for (const result of results) for (const { reason } of Object.values(result)) expect(reason.length).toBeGreaterThan(5);
  });

  it('stops when its signal has fired', async () => {
    const signal = AbortSignal.abort();
    await expect(ruleJudge().judge({ ...context('Hi.'), signal })).rejects.toMatchObject({ code: 'aborted' });
  });
});

describe('naturalness', () => {
  it.each([
    ['A nurse, that keeps you busy. Where do you live?', true],
    ['Really? Tell me more!', true],
    ['so you are a nurse .', true],
    ['', false],
    ['So so so busy.', false],
    ['You are busy, you are busy.', false],
    ['A nurse and a nurse is a nurse.', false],
    ['One. Two. Three. Four.', false],
    ['You could:\n- rest\n- walk.', false],
    ['Rest, walk, read, cook, sleep.', false],
    ['<profile> nurse.', false],
    ['A nurse, that keeps you', false],
    [`${'word '.repeat(2)}${Array.from({ length: 29 }, (_, i) => `w${i}`).join(' ')}.`, false],
  ])('%j: %s', async (reply, expected) => {
    expect(await passed('naturalness', reply)).toBe(expected);
  });
});

describe('relevance', () => {
  it.each([
    ['asks for a slot that is not disclosed', 'Where do you live?', true],
    ['uses what the user told', 'Nurses are always busy.', true],
    ['asks on about what the user told', 'Do you like being a nurse?', true],
    ['asks about an undisclosed fact of the profile by its words', 'Do you listen to jazz?', true],
    ['asks for what the user has told', 'What do you do for a living?', false],
    ['asks for a told value although it mentions another', 'A nurse. What is your job?', false],
    ['asks for a slot in which the profile has nothing', 'Do you have kids?', false],
    ['is about nothing', 'That is nice.', false],
    ['is small talk past the first turn', 'How are you?', false],
  ])('%s', async (_, reply, expected) => {
    expect(await passed('relevance', reply)).toBe(expected);
  });

  it('lets a list slot be asked for until all of it is told', async () => {
    const dialogue = ['Hello!', 'Hi!', 'I go hiking.'];
    expect(await passed('relevance', 'What else do you like to do?', dialogue, [hiking])).toBe(true);
    expect(await passed('relevance', 'What else do you like to do?', dialogue, [hiking, item('interests', 'jazz')])).toBe(false);
  });

  it('does not take the user for told of what only the profile says', async () => {
    expect(await passed('relevance', 'Leeds is a big city.', undefined, [occupation])).toBe(false);
    expect(await passed('relevance', 'Leeds is a big city.', undefined, [occupation, location])).toBe(true);
  });

  it('takes a greeting or a question on the first turn, and nothing else', async () => {
    expect(await passed('relevance', 'Hello!', ['Hello'], [])).toBe(true);
    expect(await passed('relevance', 'How are you?', ['Hello'], [])).toBe(true);
    expect(await passed('relevance', 'The weather is fine.', ['Hello'], [])).toBe(false);
  });

  it('goes by the labels of a schema of one’s own', async () => {
    const schema = ProfileSchema.define({ pets: slot.many(z.string()), favoriteFood: slot.one(z.string()) });
    const own = schema.profile({ pets: ['two dogs'], favoriteFood: 'pizza' });
    const judge = (reply: string) =>
      ruleJudge().judge({ ...context(reply), golden: own, disclosed: own.items().filter((each) => each.slot === 'favoriteFood') });
    expect((await judge('Do you have any pets?')).relevance).toEqual({ pass: true, reason: 'asks for the pets' });
    expect((await judge('What is your favorite food?')).relevance.pass).toBe(false);
  });
});

describe('logic', () => {
  it.each([
    ['takes up a word of the message', 'I work as a nurse.', 'A nurse, that keeps you busy.', true],
    ['takes it up in another form', 'I go hiking a lot.', 'Where do you hike?', true],
    ['takes up the subject by another word for it', 'I work as a nurse.', 'That job keeps you busy.', true],
    ['passes over the message', 'I work as a nurse.', 'Where do you live?', false],
    ['answers a question', 'I am a nurse. What about you?', 'I am just an assistant.', true],
    ['answers a request', 'What should I cook tonight?', 'Try a simple lentil soup.', true],
    ['answers a question by another question', 'What about you?', 'Where do you live?', false],
    ['answers a question by nothing', 'What about you?', 'I see. Where do you live?', false],
    ['returns a greeting', 'Hello!', 'Hi, nice to meet you.', true],
    ['does not return a greeting', 'Hello!', 'Where do you live?', false],
    ['goes on from a message without a subject', 'Yes.', 'Good. Where do you live?', true],
  ])('%s', async (_, message, reply, expected) => {
    expect(await passed('logic', reply, ['Good day.', 'Good day.', message])).toBe(expected);
  });

  it.each([
    ['apologises', 'Sorry about that. Where do you live?', true],
    ['changes the subject', 'Then where do you live?', true],
    ['asks for the same again', 'So what is your job?', false],
    ['repeats itself with an apology', 'Sorry. What do you do?', false],
    ['passes over it', 'You asked me that.', false],
  ])('after displeasure: %s', async (_, reply, expected) => {
    expect(await passed('logic', reply, ['Hello!', 'Hi! What do you do?', 'You already asked me that.'])).toBe(expected);
  });
});

describe('logic after a refusal', () => {
  it.each([
    "I'd rather not say.",
    "I don't want to talk about that.",
    "That's private, I think.",
    "Let's skip that one.",
    'Sorry, I prefer not to answer that.',
    "Well, it's a bit personal.",
    'I would rather not discuss this today.',
  ])('%s', async (refusal) => {
    const dialogue = ['Hello!', 'Hi! Are you married?', refusal];
    expect(await passed('logic', 'No problem. Where do you live?', dialogue, [])).toBe(true);
    expect(await passed('logic', 'Then where do you live?', dialogue, [])).toBe(true);
    expect(await passed('logic', 'Come on, are you married or single?', dialogue, [])).toBe(false);
  });

  it.each([
    "I go to a private school; it's private and expensive.",
    "I love my trainer, it's personal training in Leeds.",
    "Let's not forget that I am a nurse in Leeds!",
    "I don't want to say I hate hiking, but I prefer jazz.",
    'I would rather not work nights.',
  ])('is not what is no refusal: %s', async (message) => {
    const dialogue = ['Hello!', 'Hi! Are you married?', message];
    expect(await passed('logic', 'Bananas are yellow on Tuesdays.', dialogue, [])).toBe(false);
  });
});

describe('engagement', () => {
  it.each([
    ['a question', 'Where do you live?', true],
    ['two questions', 'Where do you live? Do you like it there?', true],
    ['an invitation', 'Tell me about your family.', true],
    ['three questions', 'Where do you live? Is it big? Is it old?', false],
    ['three questions in one', 'Where do you live, how old are you and are you married?', false],
    ['no question', 'That keeps you busy.', false],
    ['a word with a question mark', 'Nurse?', false],
    ['a question that was asked', 'And what do you do?', false],
    ['the same question in other words', 'What is your job?', false],
  ])('%s', async (_, reply, expected) => {
    expect(await passed('engagement', reply)).toBe(expected);
  });

  it('lets a list slot be asked for again in other words', async () => {
    const dialogue = ['Hello!', 'Hi! Any hobbies?', 'I go hiking.'];
    expect(await passed('engagement', 'What else do you do for fun?', dialogue, [hiking])).toBe(true);
    expect(await passed('engagement', 'Nice. Any hobbies?', dialogue, [hiking])).toBe(false);
  });
});

describe('informativeness', () => {
  it.each([
    ['adds to what was said', 'A nurse, that keeps you busy.', true],
    ['is a copy', 'I work as a nurse.', false],
    ['is a copy from the other side', 'You work as a nurse!', false],
    // work, nurse of work, nurse: 100     ['is made of the user’s words', 'A nurse at work?', false],
    // nurse of nurse, live and a new question: 33 %
    ['is a third of the user’s words', 'A nurse. Where do you live?', true],
    // nurse of nurse and a new question: 50 %
    ['asks something new without a subject word', 'A nurse. What do you do for fun?', true],
    // nurse of nurse; the question is not new
    ['asks back what was said', 'A nurse? You are a nurse?', false],
    ['flatters', 'A nurse, you are so inspiring! Where do you live?', false],
    ['praises the question', 'Great question! I like nurses.', false],
    ['says nothing', ' ', false],
  ])('%s', async (_, reply, expected) => {
    expect(await passed('informativeness', reply)).toBe(expected);
  });
});
