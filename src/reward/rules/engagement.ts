import { asksAbout, wasAsked, words } from '../../language/index';
import { fail, holdsOne, label, pass, type Rule } from './reading';

/** Gives the user an opening to go on: one or two questions that were not asked before. */
export const engagement: Rule = (reading) => {
  const { questions, asked, earlier, context } = reading;
  const open = questions.filter(invites);
  if (open.length === 0) return fail('asks nothing');
  if (questions.length > 2) return fail(`asks ${questions.length} questions at once`);
  if (asked.length > 2) return fail(`asks for ${asked.length} things at once`);
  const again = open.find((question) => wasAsked(question, earlier));
  if (again !== undefined) return fail(`"${again}" was asked before`);
  const askedBefore = new Set(earlier.flatMap((text) => asksAbout(text, context.golden.schema)));
  const twice = asked.find((slot) => holdsOne(reading, slot) && askedBefore.has(slot));
  if (twice !== undefined) return fail(`the ${label(reading, twice)} was asked for before`);
  return pass('asks something new');
};

const asking = new Set(
  `what where who whom whose which when why how do does did are is was were am have has had can could would will should any ever you your yours u ur`.split(
    ' ',
  ),
);

/** A question that can be answered, unlike "Nurse?". */
function invites(question: string): boolean {
  const said = words(question);
  return said.length >= 2 && said.some((word) => asking.has(word.replace(/'.*$/, '')));
}
