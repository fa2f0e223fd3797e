import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parseAloe, parsePersonaChat, recordedPersonas } from '../../src/simulation/index';
import { describeWithShared, sharedPath } from '../shared';

const header = 'user 1 personas,user 2 personas,Best Generated Conversation';
const csv = (...rows: string[][]) => [header, ...rows.map((cells) => cells.map((cell) => `"${cell}"`).join(','))].join('\n');
const ann = 'I like tea.\nI have a cat.';
const bob = 'I am a cook.';
const refusal = (code: string, details: object = {}) => expect.objectContaining({ code, details: expect.objectContaining(details) });

describe('recorded dialogues', () => {
  it('give both speakers with their facts and messages', () => {
    const { dialogues } = parsePersonaChat(csv([ann, bob, 'User 1: Hi!\nUser 2: Hello, I cook.\nUser 1: I drink tea.']));
    expect(dialogues).toEqual([
      {
        row: 1,
        speakers: [
          { facts: ['I like tea.', 'I have a cat.'], messages: ['Hi!', 'I drink tea.'] },
          { facts: ['I am a cook.'], messages: ['Hello, I cook.'] },
        ],
        messages: [
          { speaker: 1, text: 'Hi!' },
          { speaker: 2, text: 'Hello, I cook.' },
          { speaker: 1, text: 'I drink tea.' },
        ],
      },
    ]);
  });

  it('join continued lines and messages in a row, and leave out marks and stage directions', () => {
    const text = '* * *\n*User 1:* Hi!\nHow are you?\n\n[A minute later]\nUser 2: Fine.\n* User 2: And you? *\nUser 1: Well.';
    expect(parsePersonaChat(csv([ann, bob, text])).dialogues[0]!.messages).toEqual([
      { speaker: 1, text: 'Hi!\nHow are you?' },
      { speaker: 2, text: 'Fine.\nAnd you?' },
      { speaker: 1, text: 'Well.' },
    ]);
  });

  it('take what stands before a first "User 2:" as what user 1 says', () => {
    expect(parsePersonaChat(csv([ann, bob, 'Hi there!\nUser 2: Hello.'])).dialogues[0]!.speakers[0].messages).toEqual(['Hi there!']);
  });

  it('become two personas to be replayed', () => {
    const personas = recordedPersonas(parsePersonaChat(csv([ann, bob, 'User 1: Hi!\nUser 2: Hello.'])).dialogues);
    expect(personas.map(({ id }) => id)).toEqual(['dialogue-1/user-1', 'dialogue-1/user-2']);
    expect(personas[0]!.profile.toJSON()).toEqual({ facts: ['I like tea.', 'I have a cat.'] });
    expect(personas[1]!.messages).toEqual(['Hello.']);
  });

  const good = [ann, bob, 'User 1: Hi!\nUser 2: Hello.'];
  it.each([
    ['a row with fewer columns', `${csv(good)}\n"a","b"`, 'invalid-file', { row: 2 }],
    ['a row with more columns', `${csv(good)}\n"a","b","User 1: c","d"`, 'invalid-file', { row: 2 }],
    ['a missing column', 'user 1 personas,Best Generated Conversation\n"a","User 1: b"', 'invalid-file', { column: 'user 2 personas' }],
    ['a header alone', header, 'invalid-file', {}],
    ['an empty file', '', 'invalid-file', {}],
    ['an open quotation mark', `${header}\n"a","b`, 'invalid-file', {}],
    ['an empty persona', csv(good, [' ', bob, 'User 1: Hi!\nUser 2: Hello.']), 'invalid-persona', { row: 2, user: 1 }],
    ['a user who says nothing', csv([ann, bob, 'User 1: Hi!']), 'invalid-persona', { row: 1, user: 2 }],
    ['a conversation without speakers', csv(good, [ann, bob, 'Hi!\nHello.']), 'invalid-file', { row: 2 }],
    ['a line of nobody before user 1', csv([ann, bob, 'Once upon a time\nUser 1: Hi!\nUser 2: Hello.']), 'invalid-file', { row: 1 }],
    ['a third speaker', csv([ann, bob, 'User 1: Hi!\nUser 3: Hello.']), 'invalid-file', { row: 1 }],
    ['an empty conversation', csv([ann, bob, '']), 'invalid-file', { row: 1 }],
  ])('are refused for %s', (_, text, code, details) => {
    expect(() => parsePersonaChat(text)).toThrow(refusal(code, details));
  });
});

describe('people in free text', () => {
  const she = JSON.stringify('She is a 41-year-old florist who paints. She lives by a lake.');
  const mother = JSON.stringify('She is a 30-year-old single mother of two. She bakes.');
  const he = JSON.stringify('He is calm. He listens.');
  const calm = JSON.stringify('She is calm.');

  it('have their sentences as facts, and age, gender and occupation where the text is plain', () => {
    const { personas } = parseAloe(`${she}\n${mother}\n`, `${he}\n${calm}\n`);
    expect(personas.map(({ profile }) => profile.toJSON())).toEqual([
      {
        age: 41,
        gender: 'female',
        occupation: 'florist',
        personalityTraits: ['She is calm.'],
        otherInformation: ['She is a 41-year-old florist who paints.', 'She lives by a lake.'],
      },
      {
        age: 30,
        gender: 'female',
        personalityTraits: ['She is calm.'],
        otherInformation: ['She is a 30-year-old single mother of two.', 'She bakes.'],
      },
    ]);
  });

  it('may stand two on a line', () => {
    expect(parseAloe(`${she}${mother}`, calm).profiles).toHaveLength(2);
  });

  it('are refused with the line where it is no JSON string', () => {
    expect(() => parseAloe(`${she}\nplain text`, calm)).toThrow(refusal('invalid-file', { line: 2 }));
    expect(() => parseAloe(`${she}\n"unclosed`, calm)).toThrow(refusal('invalid-file', { line: 2 }));
    expect(() => parseAloe(`${she}\n""`, calm)).toThrow(refusal('invalid-persona', { line: 2 }));
    expect(() => parseAloe('', calm)).toThrow(refusal('invalid-file'));
  });
});

describeWithShared('the published recordings', 'data', () => {
  const read = (path: string) => readFileSync(sharedPath(`data/${path}`), 'utf8');

  it('hold 1,000 dialogues of two people each', () => {
    const { dialogues } = parsePersonaChat(read('synthetic-persona-chat/valid.csv'));
    expect(dialogues).toHaveLength(1000);
    const personas = recordedPersonas(dialogues);
    expect(personas).toHaveLength(2000);
    for (const { profile, messages } of personas) {
      expect(profile.size).toBeGreaterThanOrEqual(3);
      expect(messages!.every((message) => message.trim() !== '' && !/^\W*user [12]\W*:/i.test(message))).toBe(true);
    }
  });

  it('hold 330 lines of profiles, one of them with two, and 71 personalities', () => {
    const { profiles, personalities, personas } = parseAloe(read('aloe/profile.jsonl'), read('aloe/personality.jsonl'));
    expect([profiles.length, personalities.length, personas.length]).toEqual([331, 71, 331]);
    expect(personas.every(({ profile }) => profile.size >= 5)).toBe(true);
  });
});
