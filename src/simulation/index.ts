export { disclosedItems, trimToBudget } from './disclosure';
export { type ModelBehaviourOptions, modelBehaviour } from './model';
export { checkPersona, type Persona } from './persona';
export {
  conflictPersonas,
  factsSchema,
  generatePersonas,
  type PersonaOptions,
  parseAloe,
  parsePersonaChat,
  type RecordedDialogue,
  type RecordedSpeaker,
  recordedPersonas,
} from './personas/index';
export { disclosingPhrases, type Occasion } from './phrases';
export { replayBehaviour } from './replay';
export { type ScriptedBehaviourOptions, scriptedBehaviour } from './scripted';
export { SimulatedUser, type SimulatedUserOptions, UserSession, type UserTurn } from './simulated-user';
export type { DialogueMessage, UserBehaviour, UserContext, UserUtterance } from './user-behaviour';
