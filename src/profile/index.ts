export { changeText, diffProfiles, type ProfileChange } from './changes';
export { type ProfileItem, profileItem, valueText } from './item';
export { normalizeText } from './normalize';
export { Profile } from './profile';
export {
  type InputOf,
  ProfileSchema,
  type ProfileValues,
  type RejectedValue,
  type SlotMap,
  type SlotReading,
  type ValuesOf,
} from './schema';
export type { ItemMatch, ProfileScore } from './score';
export { type Cardinality, type Slot, type SlotDefinition, type SlotOptions, slot } from './slot';
