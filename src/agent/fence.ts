import type { Profile } from '../profile/index';

/** Brackets, bars and back quotes, invisible characters, and line ends that JSON leaves as they are. */
const markup = /[<>[\]{}|`\u007f-\u009f\u2028\u2029]|[\p{Default_Ignorable_Code_Point}\p{Cf}\p{Co}\p{Cn}]/gu;

/** ASCII in which JSON and the fence escape nothing: most values. */
const plain = /^[ !#-;=?-Z^_a-z~]*$/;

/**
 * The profile as JSON in which no value holds anything but words: brackets, bars and back quotes are JSON escapes, as are line breaks and
 * invisible characters. No value can end the fence, begin a line, a role, a tag or a code block, or hide what it says; and
 * `JSON.parse` gives back the values as they are.
 */
export function fencedJson(profile: Profile): string {
  const slots = Object.entries(profile.toJSON()).map(([slot, value]) => {
    const written = Array.isArray(value) ? `[\n  ${value.map(escaped).join(',\n  ')}\n ]` : escaped(value);
    return ` ${JSON.stringify(slot)}: ${written}`;
  });
  return slots.length > 0 ? `{\n${slots.join(',\n')}\n}` : '{}';
}

/** JSON in which strings hold no markup; the brackets of an object's own JSON stay. */
function escaped(value: unknown): string {
  if (typeof value === 'string' && plain.test(value)) return `"${value}"`;
  return JSON.stringify(value).replace(/"(?:[^"\\]|\\.)*"/gs, (text) =>
    text.replace(markup, (character) =>
      Array.from({ length: character.length }, (_, i) => `\\u${character.charCodeAt(i).toString(16).padStart(4, '0')}`).join(''),
    ),
  );
}

/** The opening bracket of what chat templates and this library frame turns with: `<|…|>`, `[INST]`, `<<SYS>>`, `</s>`, `<profile>` … */
const frames =
  /<(?=[|\uff5c]|<?\/?sys>|\\*\/?(?:s|bos|eos|pad|(?:start|end)_of_turn|(?:begin|end)_of_text|profile|response|known_about_user|system|assistant|user|developer)>)|\[(?=\/?[a-z]{3,12}(?:_[a-z]{1,12}){0,2}\])/gi;

/** Zero-width and direction controls and the invisible copies of ASCII; not the joiners that scripts and emoji need. */
const invisible =
  /\u034f|[\u00ad\u061c\u115f\u1160\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}]/gu;

/**
 * What somebody wrote, without what only machines see and with a blank in the brackets of turn frames (`< |im_end|>`), so that no chat
 * template takes it for the end of the message. Everything else is as it was.
 */
export function unframed(text: string): string {
  return text.replace(invisible, '').replace(frames, (bracket) => `${bracket} `);
}

/** The same for the model's own answers, whose `<profile>` and `<response>` are their form. */
export function unframedAnswer(text: string): string {
  return text
    .replace(invisible, '')
    .replace(frames, (bracket, at: number, whole: string) => (isTurnTag(whole, at) ? bracket : `${bracket} `));
}

const turnTag = /<\\*\/?(?:profile|response)>/y;

function isTurnTag(text: string, at: number): boolean {
  turnTag.lastIndex = at;
  return turnTag.test(text);
}
