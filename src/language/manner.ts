import { questions, wasAsked } from './questions';
import { normalizeUtterance, sentences, words } from './words';

const praise = [
  /\byou(?:'re| are| r)? (?:are |just |really |truly |such |simply )*(?:so|an?|the most|the best|very|truly|absolutely)?\s*(?:amazing|incredible|awesome|brilliant|wonderful|fantastic|perfect|genius|best|inspiring|inspiration|impressive|remarkable|extraordinary|smart|talented|gifted|special|beautiful)\b/,
  /\byou(?:'re| are) (?:so|such an?|truly|the)\b/,
  /\b(?:great|good|excellent|amazing|wonderful|fantastic|brilliant) (?:question|point|choice|answer|taste|person)\b/,
  /\b(?:amazing|incredible|perfect|fantastic|brilliant|magnificent|marvelous|marvellous|phenomenal|outstanding|spectacular|breathtaking)\b/,
  /\bi (?:really |truly |deeply |so )?(?:admire|adore|worship) (?:you|your)\b/,
  /\b(?:your|what an?) (?:inspiring|inspiration|impressive|remarkable|extraordinary|exceptional)\b/,
];

/** Whether a text flatters or praises without saying anything: "You are so inspiring!", "Great question!". */
export function isFlattery(text: string): boolean {
  const form = normalizeUtterance(text);
  return praise.some((pattern) => pattern.test(form));
}

const greeting =
  /^(?:oh |well )?(?:hi|hello|hey|heya|hiya|howdy|yo|greetings|good (?:morning|afternoon|evening|day)|nice to meet you|pleased to meet you|welcome)\b/;

/** Whether a text begins with a greeting. */
export function isGreeting(text: string): boolean {
  return greeting.test(normalizeUtterance(text));
}

/** Whether a text is a greeting and nothing else, small talk aside: "Hello!", "Hey there, how are you?". */
export function isOnlyGreeting(text: string): boolean {
  if (!isGreeting(text)) return false;
  const rest = normalizeUtterance(text)
    .replace(greeting, '')
    .replace(
      /\b(?:there|again|friend|everyone|everybody|all|to meet you|nice|how are you(?: doing)?(?: today)?|how is it going|how's it going|what's up)\b/g,
      '',
    );
  return words(rest).length === 0;
}

const displeasure = [
  /\byou(?:'ve| have)? (?:already|just) (?:asked|said|told|mentioned)\b/,
  /\bi(?:'ve| have)? (?:already|just) (?:told|said|answered|mentioned)\b/,
  /\byou(?:'re| are)? (?:keep |always )?(?:repeating|asking me the same|saying the same)\b/,
  /\byou keep (?:asking|saying|repeating)\b/,
  /\b(?:stop|quit|enough with|no more) (?:asking|repeating|flattering|praising|saying|flattery|compliments|questions)\b/,
  /\b(?:don't|do not|no need to|please don't) (?:flatter|repeat|praise)\b/,
  /\b(?:so|too|that's|this is|you're|you are) (?:annoying|boring|pushy|repetitive|over the top)\b/,
  /\bthat(?:'s| is) not (?:me|what i said|what i asked|true|right)\b/,
  /\bnot (?:my thing|interested in that|for me)\b/,
  /\b(?:flattery|flattering|flatter)\b/,
];

/** Whether a user shows dislike of what the assistant did: repetition, flattery, a wrong assumption. */
export function isDispleased(text: string): boolean {
  const form = normalizeUtterance(text);
  return displeasure.some((pattern) => pattern.test(form));
}

const refusal =
  /^(?:(?:sorry|no|well|hmm|actually|honestly) )*(?:(?:i'd|i would) (?:rather|prefer) not(?: to)?|i prefer not to|i (?:don't|do not|won't) (?:want|like|care) to|let's not|let's skip|can we skip|(?:that's|that is|it's|it is|this is) (?:too |rather |a bit )?(?:private|personal)|(?:that's |that is )?none of your business)(?: (?:say|tell|answer|talk|discuss|share|speak|get into|go into))?(?: you)?(?: about)?(?: (?:that|this|it)(?: one| question)?)?(?: (?:please|sorry|i think|i'm afraid|for now|right now|today|here))*$/;

/** Whether a user says that they would rather not speak of what was asked, and nothing else: "That's private.", "Let's skip that one." */
export function isRefusal(text: string): boolean {
  const said = sentences(text);
  return said.length > 0 && said.every((sentence) => refusal.test(normalizeUtterance(sentence)));
}

/** Whether a text makes up for something: "Sorry, my mistake." */
export function isApology(text: string): boolean {
  return /\b(?:sorry|apologi[sz]e|apologies|my bad|my mistake|oops|whoops|pardon|forgive me|fair enough|you(?:'re| are) right|point taken)\b/.test(
    normalizeUtterance(text),
  );
}

/**
 * Whether a text says again what was said before: the same reply, one of its questions, or a whole sentence of at least five words.
 *
 * @param earlier what the same speaker said before
 */
export function isRepetition(text: string, earlier: readonly string[]): boolean {
  const form = normalizeUtterance(text);
  if (form === '') return false;
  if (earlier.some((other) => normalizeUtterance(other) === form)) return true;
  if (questions(text).some((question) => wasAsked(question, earlier))) return true;
  const said = new Set(earlier.flatMap(sentences).map(normalizeUtterance));
  return sentences(text).some((sentence) => words(sentence).length >= 5 && said.has(normalizeUtterance(sentence)));
}
