import { describe, expect, it } from 'vitest';
import { serverWords } from '../../src/chat/server-words';

const nothing = { model: 'tiny', secrets: [], sent: [] };

describe('serverWords', () => {
  it('leaves a message as it is that has nothing to hide', () => {
    const said = "400 Invalid value for 'temperature': at most 2 with 'tiny', see https://example.org/v1/chat/completions#2025-01-01.";
    expect(serverWords(said, { ...nothing, sent: ['Hello there, my friend', 'Be brief.'] })).toBe(said);
  });

  it('conceals a secret before it shortens, which could leave half of it', () => {
    const secret = 'correct-horse';
    for (let length = 470; length < 500; length++) {
      const said = serverWords(`${'x '.repeat(length / 2)}${secret} ${'y '.repeat(100)}`, { ...nothing, secrets: [secret] });
      expect(said).toHaveLength(500);
      expect(said).not.toContain('correct');
    }
  });

  it('knows a secret without the blanks around it, and one that holds another', () => {
    const secrets = ['horse', 'correct horse\n', 'battery"staple'];
    expect(serverWords('No: correct horse, "battery\\"staple".', { ...nothing, secrets })).toBe('No: [concealed], "[concealed]".');
  });

  it.each([
    ['Incorrect API key: sk-abc.', 'Incorrect API key: [concealed].'],
    ['Incorrect API key: sk-ab****yz.', 'Incorrect API key: [concealed].'],
    ['Got "Authorization: Bearer horse"', 'Got "Authorization: Bearer [concealed]'],
    ['Unknown gsk_A1b2C3d4E5f6G7h8I9j0!', 'Unknown [concealed]!'],
    ['Unknown 0123456789abcdef0123456789abcdef', 'Unknown [concealed]'],
  ])('conceals what looks like a key: %s', (said, expected) => {
    expect(serverWords(said, nothing)).toBe(expected);
  });

  it('does not take the name of the model for a key', () => {
    const said = 'There is no gpt-4o-mini-2024-07-18 here.';
    expect(serverWords(said, { ...nothing, model: 'gpt-4o-mini-2024-07-18' })).toBe(said);
  });

  const confession = 'I have "asthma", and\nlive at 5 Mühl Lane 😀 with C:\\new friends.';
  it.each([
    ['as it is', confession],
    ['within JSON', JSON.stringify(confession)],
    ['within JSON within JSON', JSON.stringify(JSON.stringify(confession))],
    ['in ASCII', JSON.stringify(confession).replace(/[^\0-\x7f]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`)],
    ['in part', confession.slice(9, 40)],
  ])('leaves out what was sent where it is quoted %s', (_, quote) => {
    const said = serverWords(`Cannot read <${quote}>: too odd.`, { ...nothing, sent: ['Be brief.', `They say: ${confession} Bye.`] });
    expect(said).toMatch(/^Cannot read <"?\\?"?…"?\\?"?>: too odd\.$/);
  });

  it('leaves out a short message that is quoted as a whole, and one with a key in it', () => {
    const sent = ['hi', 'I am ill.', 'My password for work is sk-abc, do not tell.'];
    expect(serverWords('hi: "I am ill.", "My password for work is sk-abc, do not tell."', { ...nothing, sent })).toBe('hi: "…", "…"');
  });

  it('says of a web page what it says, in short', () => {
    const page = `<!DOCTYPE html><html><head><title>Error</title><style>p { color: red }</style></head>
      <body><!-- <p>not yet --><h1 class="x">502 Bad Gateway</h1><script>if (1 < 2) alert()</script><p>nginx</p></body></html>`;
    expect(serverWords(`502 ${page}`, nothing)).toBe('502 502 Bad Gateway nginx');
    expect(serverWords('404 <html><head><title>My app</title></head><body><div id="root"></div></body>', nothing)).toBe('404 My app');
    expect(serverWords(`<html><body>${'ab '.repeat(1000)}`, nothing)).toHaveLength(200);
  });

  it('is quick with any text', () => {
    for (const piece of ['<title', '<script', '<!--', '\\', '\\u12', 'Bearer ', 'sk-', 'a1', '<html', 'ab cd ']) {
      const text = piece.repeat(20_000);
      expect(serverWords(text, { ...nothing, sent: [text] }).length).toBeLessThanOrEqual(500);
    }
  });
});
