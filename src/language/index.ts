export { isApology, isDispleased, isFlattery, isGreeting, isOnlyGreeting, isRefusal, isRepetition } from './manner';
export { asksAbout, isQuestion, questions, shareTopic, speaksOf, statements, wasAsked } from './questions';
export { isFreeForm, type NamedSlot } from './topics';
export { contentWords, normalizeUtterance, sentences, shareContent, stem, words } from './words';
