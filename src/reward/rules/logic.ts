import {
  questions as askedIn,
  asksAbout,
  contentWords,
  isApology,
  isDispleased,
  isGreeting,
  isOnlyGreeting,
  isQuestion,
  isRefusal,
  isRepetition,
  sentences,
  shareTopic,
  speaksOf,
  words,
} from '../../language/index';
import { fail, pass, type Reading, type Rule } from './reading';

/** Follows from the user's last message: answers it, takes up its subject, returns its greeting, makes up for what displeased, lets a refusal be. */
export const logic: Rule = (reading) => {
  const { reply, message, messageContent, content, questions } = reading;
  if (message === '') return pass('opens the dialogue');
  if (isDispleased(message)) return afterDispleasure(reading);
  if (isRefusal(message) && askedIn(reading.earlier.at(-1) ?? '').length > 0) return afterRefusal(reading);

  if (isOnlyGreeting(message)) {
    if (isGreeting(reply)) return pass('returns the greeting');
    return fail('does not return the greeting');
  }
  if (sentences(message).some(isQuestion)) {
    return reading.statements.some((statement) => answers(statement, messageContent))
      ? pass("answers the user's question")
      : fail("leaves the user's question open");
  }
  const shared = [...messageContent].find((word) => content.has(word));
  if (shared !== undefined) return pass(`takes up "${shared}"`);
  if (reading.statements.some((statement) => shareTopic(statement, message)) || sharesSlot(reading)) return pass('takes up the subject');
  if (messageContent.size === 0) {
    return reading.statements.length + questions.length > 0 ? pass('goes on from a message without a subject') : fail('does not go on');
  }
  return fail("does not take up the user's message");
};

function afterDispleasure({ reply, asked, earlier, context }: Reading) {
  if (isRepetition(reply, earlier)) return fail('repeats itself although the user was displeased');
  if (isApology(reply)) return pass('makes up for what displeased the user');
  const before = new Set(asksAbout(earlier.at(-1) ?? '', context.golden.schema));
  if (asked.some((slot) => !before.has(slot))) return pass('changes the subject');
  return fail('passes over that the user was displeased');
}

function afterRefusal({ asked, earlier, context }: Reading) {
  const before = new Set(asksAbout(earlier.at(-1) ?? '', context.golden.schema));
  return asked.some((slot) => before.has(slot)) ? fail('asks again what the user would not tell') : pass('lets the matter rest');
}

const acknowledgement =
  /^(?:(?:oh|ah|well|yes|ok|okay|right) )?(?:i see|i understand|ok|okay|nice|cool|great|sure|right|got it|good|(?:that|it)(?:'s| is| sounds) \w+|sounds \w+|good to know|interesting|thanks|thank you|hello|hi|hey|wow)$/;

/** A statement that says something: about the speaker, about the question's subject, or at least more than "I see". */
function answers(statement: string, messageContent: ReadonlySet<string>): boolean {
  const said = words(statement);
  if (acknowledgement.test(said.join(' '))) return false;
  if (said.some((word) => /^(?:i|i'm|i've|i'd|i'll|my|me|we|our|yes|yeah|no|nope)$/.test(word))) return true;
  if ([...contentWords(statement)].some((word) => messageContent.has(word))) return true;
  return said.length >= 4;
}

/** Whether a statement of the reply speaks of the slot that the user's message is about or fills. */
function sharesSlot({ statements, message, messageContent, context }: Reading): boolean {
  const schema = context.golden.schema;
  const slots = new Set(speaksOf(message, schema));
  for (const item of context.disclosed) {
    for (const word of contentWords(item.text)) if (messageContent.has(word)) slots.add(item.slot);
  }
  return slots.size > 0 && statements.some((statement) => speaksOf(statement, schema).some((slot) => slots.has(slot)));
}
