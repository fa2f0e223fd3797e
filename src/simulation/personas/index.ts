export { parseAloe } from './aloe';
export { conflictPersonas, generatePersonas, type PersonaOptions } from './generate';
export { factsSchema, parsePersonaChat, type RecordedDialogue, type RecordedSpeaker, recordedPersonas } from './persona-chat';
