export { changeText, diffProfiles, type ProfileChange } from './changes';
export {
  formatProfileBlock,
  formatTurn,
  type ParsedTurn,
  type ParseOptions,
  parseTurn,
  type TurnProblem,
  type TurnProblemCode,
} from './codec';
export { type EmbeddingMatcherOptions, embeddingMatcher, type TextEmbedder } from './embedding-matcher';
export { functionWords, isFunctionWord } from './function-words';
export { describeSlots, formatInstructions } from './instructions';
export { knownNormalizedText, normalizedText, type ProfileItem, profileItem, slotItem, valueText } from './item';
export { type JudgedMatcherOptions, judgedMatcher } from './judged-matcher';
export {
  closestItem,
  exactMatcher,
  fuzzyMatcher,
  type ItemMatch,
  type ItemMatcher,
  type ItemPair,
  type MatchOptions,
  matchItems,
  normalizedMatcher,
  type SynchronousItemMatcher,
  schemaMatcher,
} from './matching';
export { foldCharacters, isArticle, normalizeText } from './normalize';
export { Profile } from './profile';
export { parseProfileBlock } from './profile-block';
export { type ProfileF1Options, type ProfileScore, profileF1 } from './profile-f1';
export {
  type InputOf,
  ProfileSchema,
  type ProfileValues,
  type SlotMap,
  type ValuesOf,
} from './schema';
export { type Cardinality, type Slot, type SlotDefinition, type SlotOptions, slot } from './slot';
export type { RejectedValue, SlotReading } from './slot-items';
export { tellingSigns } from './telling-signs';
export { TurnStream } from './turn-stream';
export { valueSchemas } from './value-schema';
export { text, type ValueType, wholeNumber } from './value-type';
