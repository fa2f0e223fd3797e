import { isFlattery, sentences, shareContent, words } from '../../language/index';
import { fail, pass, type Rule } from './reading';

/** Adds something: neither parrots the user nor flatters. */
export const informativeness: Rule = ({ reply, content, questions, message, messageContent, bounds }) => {
  if (words(reply).length === 0) return fail('says nothing');
  if (isFlattery(reply)) return fail('flatters or praises emptily');
  const heard = turnedRound(message);
  const parroted = sentences(reply).find((sentence) => words(sentence).length >= 3 && heard.includes(turnedRound(sentence)));
  if (parroted !== undefined) return fail(`says the user's own words back: "${parroted}"`);
  const echoed = [...content].filter((word) => messageContent.has(word)).length;
  // A question on another subject is something new, even one without a subject word, as "What do you do for fun?" is.
  const asked = questions.filter((question) => !shareContent(question, message)).length;
  const share = content.size === 0 ? 0 : echoed / (content.size + asked);
  if (share >= bounds.maxEcho) return fail(`${Math.round(100 * share)} % of what it says is the user's`);
  return pass('adds something of its own');
};

const persons = new Map(
  Object.entries({
    i: 'you',
    me: 'you',
    we: 'you',
    us: 'you',
    my: 'your',
    our: 'your',
    mine: 'yours',
    am: 'are',
    "i'm": 'you are',
    "you're": 'you are',
    "i've": 'you have',
  }),
);

/** The words with every person made the second, so that "I work nights" and "You work nights" are equal; blanks at both ends. */
function turnedRound(text: string): string {
  const turned = words(text).map((word) => persons.get(word) ?? word);
  return ` ${turned.join(' ')} `;
}
