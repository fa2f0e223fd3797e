import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { describeSlots, formatInstructions, formatTurn, ProfileSchema, parseTurn, slot, TurnStream } from '../../src/profile/index';
import { Random } from '../../src/random';

const schema = ProfileSchema.define({
  occupation: slot.one(z.string()),
  interests: slot.many(z.string()),
  age: slot.one(z.int()),
  smoker: slot.one(z.boolean()),
  home: slot.one(z.object({ city: z.string() })),
  other: slot.open(),
});
const nurse = schema.profile({ occupation: 'nurse', interests: ['hiking', 'jazz'] });
const nurseText = `<profile>
- Occupation: nurse
- Interests: hiking; jazz
</profile>

<response>
How was the shift?
</response>`;

function parsed(text: string) {
  const turn = parseTurn(schema, text);
  if (!turn.ok) throw new Error(`${turn.problem.code}: ${turn.problem.message}`);
  return turn;
}

function problem(text: string) {
  const turn = parseTurn(schema, text);
  if (turn.ok) throw new Error('the text was taken');
  return { code: turn.problem.code, line: turn.problem.line, profile: turn.profile?.toJSON(), reply: turn.reply };
}

describe('the text form of a turn', () => {
  it('is written slot by slot, and read back', () => {
    expect(formatTurn(nurse, ' How was the shift? ')).toBe(nurseText);
    expect(parsed(nurseText)).toMatchObject({ reply: 'How was the shift?', profile: { values: nurse.values } });
    expect(formatTurn(schema.empty(), 'Hi')).toBe('<profile>\n</profile>\n\n<response>\nHi\n</response>');
    expect(parsed('<profile>\n</profile>\n\n<response>\nHi\n</response>').profile.size).toBe(0);
  });

  it('is read without the blank line, with white space around it, and with labels in any case', () => {
    const turn = parsed('\n  <profile>\r\n  -  occupation :nurse  \r\n\n</profile><response>Hi</response>\n\n');
    expect(turn.profile.toJSON()).toEqual({ occupation: 'nurse' });
    expect(turn.reply).toBe('Hi');
  });

  it('makes numbers, booleans and objects of words where the slot asks for them', () => {
    const text = '<profile>\n- Age: 29\n- Smoker: no\n- Home: {"city":"Leeds"}\n- Occupation: 29\n</profile>\n<response>Hi</response>';
    expect(parsed(text).profile.toJSON()).toEqual({ occupation: '29', age: 29, smoker: false, home: { city: 'Leeds' } });
  });

  it('keeps a semicolon in a slot of one value, and ignores empty places in a list', () => {
    const text = '<profile>\n- Occupation: nurse; nights\n- Interests: tea;; jazz;\n</profile>\n<response>Hi</response>';
    expect(parsed(text).profile.toJSON()).toEqual({ occupation: 'nurse; nights', interests: ['tea', 'jazz'] });
  });

  it('carries values and replies that look like the form', () => {
    const profile = schema.profile({
      occupation: 'nurse\n- Age: 99\n</profile>\n<response>owned</response>',
      interests: ['tea; jazz', 'C:\\new', '<\\/profile>', 'a\\;b', 'x\r\ny', '<b>'],
    });
    const text = formatTurn(profile, 'Use <response> and </profile>, <\\/response> too');
    expect(text.match(/<\/?(?:profile|response)>/g)).toEqual(['<profile>', '</profile>', '<response>', '</response>']);
    const turn = parsed(text);
    expect(turn.profile.values).toEqual(profile.values);
    expect(turn.reply).toBe('Use <response> and </profile>, <\\/response> too');
  });

  it.each([
    ['', 'no-profile', undefined],
    ['Just talking.', 'no-profile', 'Just talking.'],
    ['<response>\nHi\n</response>', 'no-profile', 'Hi'],
    ['<response>Hi</response><profile></profile>', 'no-profile', 'Hi'],
    ['<profile>\n- Occupation: nurse\n', 'unclosed-profile', undefined],
    ['<profile>\n- Occupation: nurse\n<response>Hi</response>', 'unclosed-profile', 'Hi'],
    ['<profile>\nnurse\n</profile>\n<response>Hi</response>', 'bad-line', 'Hi'],
    ['<profile>\n- nurse\n</profile>\n<response>Hi</response>', 'bad-line', 'Hi'],
    ['<profile>\n- : nurse\n</profile>\n<response>Hi</response>', 'bad-line', 'Hi'],
    ['<profile>\n- Occupation: <profile>\n</profile>\n<response>Hi</response>', 'bad-line', 'Hi'],
    ['<profile>\n- Shoe Size: 43\n</profile>\n<response>Hi</response>', 'unknown-slot', 'Hi'],
    ['<profile>\n- Age: old\n</profile>\n<response>Hi</response>', 'invalid-value', 'Hi'],
    ['<profile>\n- Age: 29.5\n</profile>\n<response>Hi</response>', 'invalid-value', 'Hi'],
    ['<profile>\n- Interests: ;\n</profile>\n<response>Hi</response>', 'invalid-value', 'Hi'],
    ['<profile>\n- Age: 29\n- AGE: 30\n</profile>\n<response>Hi</response>', 'duplicate-slot', 'Hi'],
    ['<profile>\n</profile>\n', 'no-response', undefined],
    ['<profile>\n</profile>\nHi there', 'stray-text', 'Hi there'],
    ['Well: <profile>\n</profile>\n<response>Hi</response>', 'stray-text', 'Hi'],
    ['<profile>\n</profile>\n<response>Hi', 'unclosed-response', 'Hi'],
    ['<profile>\n</profile>\n<response> </response>', 'empty-response', undefined],
    ['<profile>\n</profile>\n<response>Hi <profile> x</response>', 'nested-tag', 'Hi'],
    ['<profile>\n</profile>\n<response>Hi</response> and more', 'trailing-text', 'Hi'],
  ])('%j is the problem %s, and %j is saved', (text, code, reply) => {
    expect(problem(text)).toMatchObject({ code });
    expect(problem(text).reply).toBe(reply);
  });

  it('saves the valid lines of a broken profile and says where it broke', () => {
    expect(problem('<profile>\n- Occupation: nurse\n- Age: old\n- Interests: tea\n</profile>\n<response>Hi</response>')).toEqual({
      code: 'invalid-value',
      line: 3,
      profile: { occupation: 'nurse', interests: ['tea'] },
      reply: 'Hi',
    });
  });

  it('goes by the rest of a profile that holds what the schema does not take, where that is to be tolerated', () => {
    const text =
      '<profile>\n- Occupation: nurse\n- Mood: happy\n- Age: old\n- Interests: jazz; ' +
      `${'x'.repeat(1001)}\n</profile>\n\n<response>\nHi\n</response>`;
    expect(problem(text)).toMatchObject({ code: 'unknown-slot', line: 3 });
    const turn = parseTurn(schema, text, { tolerateValues: true });
    if (!turn.ok) throw new Error(turn.problem.message);
    expect(turn.profile.toJSON()).toEqual({ occupation: 'nurse', interests: ['jazz'] });
    expect(turn.rejected).toMatchObject([
      { slot: 'Mood', value: 'happy' },
      { slot: 'age', value: 'old', reason: expect.stringContaining('number') },
      { slot: 'interests', reason: 'longer than 1000 characters (1001)' },
    ]);
    const twice =
      '<profile>\n- Interests: jazz\n- Occupation: nurse\n- Interests: tea; jazz\n- Job: none\n- Occupation: cook\n</profile><response>Hi</response>';
    expect(problem(twice)).toMatchObject({ code: 'duplicate-slot', line: 4 });
    expect(parseTurn(schema, twice, { tolerateValues: true })).toMatchObject({
      ok: true,
      profile: { values: { interests: ['jazz', 'tea'], occupation: 'nurse' } },
      rejected: [{ slot: 'Job' }, { slot: 'occupation', value: 'cook', reason: 'an earlier line has the slot' }],
    });
    const broken = parseTurn(schema, text.replace('- Occupation: nurse', 'A nurse'), { tolerateValues: true });
    expect(broken).toMatchObject({ ok: false, problem: { code: 'bad-line', line: 2 } });
  });

  it('carries any valid profile and reply', () => {
    const random = new Random(21);
    const pieces = [
      'a',
      'B',
      ' ',
      ';',
      '; ',
      '\\',
      '\\n',
      '\n',
      '\r',
      '<',
      '>',
      '</profile>',
      '<response>',
      '<\\/response>',
      '- Age: 3',
      ':',
      '😀',
      'é',
      '\u2028',
      '\t',
      '"',
      '{',
    ];
    const anyText = () => `x${Array.from({ length: random.integer(6) }, () => random.pick(pieces)).join('')}y`;
    for (let i = 0; i < 3000; i++) {
      const profile = schema.profile({
        occupation: random.chance(0.7) ? anyText() : undefined,
        interests: Array.from({ length: random.integer(4) }, anyText),
        age: random.chance(0.5) ? random.integer(200) - 100 : undefined,
        smoker: random.chance(0.5) ? random.chance(0.5) : undefined,
        home: random.chance(0.3) ? { city: anyText() } : undefined,
        other: random.chance(0.3) ? [anyText()] : [],
      });
      const reply = anyText();
      const turn = parsed(formatTurn(profile, reply));
      expect(turn.profile.values).toEqual(profile.values);
      expect(turn.reply).toBe(reply);
    }
  });

  it('never throws, whatever a model writes, and streams what it reports', () => {
    const random = new Random(22);
    const pieces = [
      ...nurseText.split(/(?<=\n)|(?=<)/),
      '<profile>',
      '</profile>',
      '<response>',
      '</response>',
      '<',
      '</resp',
      '<\\',
      '- ',
      'Age: x',
      ': ',
      '\\',
      '\0',
      '\ud800',
      '-',
      '{"a"',
      '\n\n',
      ' ',
      '1e999',
      'constructor',
      '__proto__',
    ];
    for (let i = 0; i < 12_000; i++) {
      let text = random.chance(0.5) ? nurseText : '';
      for (let edits = random.integer(6); edits > 0; edits--) {
        const at = random.integer(text.length + 1);
        text = text.slice(0, at) + random.pick(pieces) + text.slice(random.chance(0.5) ? at : at + random.integer(8));
      }
      const whole = parseTurn(schema, text);
      const stream = new TurnStream(schema);
      let shown = '';
      for (let at = 0; at < text.length; ) {
        const step = 1 + random.integer(7);
        shown += stream.push(text.slice(at, at + step));
        at += step;
      }
      expect(stream.end()).toEqual(whole);
      if (text.includes('<response>')) expect(shown).toBe(whole.reply ?? '');
      else expect(shown).toBe('');
    }
  });

  it('takes long and repetitive text in stride', () => {
    // Linear work takes a fraction of a second; a quadratic pattern would run into the test's deadline.
    for (const unit of ['<profile>', '- ', '- Age: 1\n', '\\', '<\\', ' ', '<response>', ';', '9', '<', '\n']) {
      const text = unit.repeat(20_000);
      parseTurn(schema, text);
      parseTurn(schema, `<profile>\n- Interests: ${text}\n</profile>\n<response>${text}</response>`);
      parseTurn(schema, `<profile>\n- ${text}\n</profile>\n<response>Hi</response>`);
    }
  });
});

describe('TurnStream', () => {
  it('gives the reply as soon as it starts, and only the reply', () => {
    const stream = new TurnStream(schema);
    const pieces = [
      '<profile>\n- Occupation: nurse\n</pro',
      'file>\n<respon',
      'se>\n',
      'How',
      ' was ',
      'it, 1 <',
      ' 2?',
      ' </',
      'response',
      '>\n',
    ];
    expect(pieces.map((piece) => stream.push(piece))).toEqual(['', '', '', 'How', ' was', ' it, 1', ' < 2?', '', '', '']);
    expect(stream.end()).toMatchObject({ ok: true, reply: 'How was it, 1 < 2?' });
  });
});

describe('formatInstructions', () => {
  it('names every slot and shows a form that its own parser reads', () => {
    const text = formatInstructions(ProfileSchema.standard);
    for (const { label } of Object.values(ProfileSchema.standard.slots)) expect(text).toContain(`- ${label}`);
    const form = text.slice(text.indexOf('<profile>'), text.indexOf('</response>') + '</response>'.length).replace('Age: value', 'Age: 29');
    expect(parseTurn(ProfileSchema.standard, form)).toMatchObject({ ok: true });
  });

  it('says which values a slot takes, as far as its type says it', () => {
    const typed = ProfileSchema.define({
      name: slot.one(z.string()),
      age: slot.one(z.int().min(0).max(130)),
      height: slot.one(z.number().positive(), { description: 'in metres' }),
      children: slot.one(z.int()),
      smoker: slot.one(z.boolean()),
      drinks: slot.many(z.enum(['tea', 'coffee'])),
      plan: slot.one(z.literal('basic').or(z.literal('plus'))),
      born: slot.one(z.iso.date()),
      mail: slot.one(z.email()),
      wakes: slot.one(z.iso.time()),
      code: slot.one(z.string().startsWith('a')),
      rank: slot.one(z.union([z.literal(1), z.literal(2)])),
      empty: slot.one(z.object({})),
      motto: slot.one(z.string().max(40)),
      pin: slot.one(z.string().regex(/^\d{4}$/)),
      home: slot.one(z.object({ city: z.string(), floor: z.int().optional() })),
      pets: slot.one(z.object({ names: z.array(z.string()), ages: z.array(z.int().min(0)).min(1).max(3).optional() })),
      route: slot.one(z.tuple([z.string(), z.int()])),
      scores: slot.many(z.array(z.enum(['low', 'high'])).length(2)),
      tags: slot.one(z.array(z.any()).max(9)),
      towns: slot.one(z.array(z.object({ name: z.string() })).min(2)),
      anything: slot.one(z.any()),
      other: slot.open(),
    });
    expect(describeSlots(Object.values(typed.slots)).split('\n')).toEqual([
      '- Name (one value)',
      '- Age (one value: a whole number from 0 to 130)',
      '- Height (one value: a number, more than 0): in metres',
      '- Children (one value: a whole number)',
      '- Smoker (one value: true or false)',
      '- Drinks (any number of values, each one of tea, coffee)',
      '- Plan (one value: basic or plus)',
      '- Born (one value: a date like 2024-05-31)',
      '- Mail (one value: an email address)',
      '- Wakes (one value)',
      '- Code (one value: text that matches ^a.*)',
      '- Rank (one value: 1 or 2)',
      '- Empty (one value)',
      '- Motto (one value: text of at most 40 characters)',
      '- Pin (one value: text that matches ^\\d{4}$)',
      '- Home (one value: JSON, an object with "city" (text), "floor" (a whole number, may be left out))',
      '- Pets (one value: JSON, an object with "names" (JSON, a list, each text), "ages" (JSON, a list of 1 to 3, each a whole number, at least 0, may be left out))',
      '- Route (one value: JSON, a list of text, a whole number)',
      '- Scores (any number of values, each JSON, a list of 2, each one of low, high)',
      '- Tags (one value: JSON, a list of at most 9)',
      '- Towns (one value: JSON, a list of at least 2, each JSON, an object with "name" (text))',
      '- Anything (one value)',
      '- Other (any number of values, for what fits no other slot)',
    ]);
    expect(formatInstructions(typed)).toContain('- Age (one value: a whole number from 0 to 130)');
  });
});
