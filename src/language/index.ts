export { isApology, isDispleased, isFlattery, isGreeting, isOnlyGreeting, isRepetition } from './manner';
export { remember } from './memory';
export { asksAbout, isQuestion, questions, shareTopic, speaksOf, statements, wasAsked } from './questions';
export { isFreeForm, type NamedSlot } from './topics';
export { contentWords, normalizeUtterance, sentences, shareContent, stem, words } from './words';
