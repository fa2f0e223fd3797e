import type { Profile } from '../profile/index';

/** Who a simulated user is: the golden profile and, for recorded people, what they said. */
export interface Persona {
  readonly id: string;
  /** The golden profile P. */
  readonly profile: Profile;
  /** From `turn` (1-based, counted in user messages) on, the golden profile is another one: the preference-conflict setting. */
  readonly change?: { readonly turn: number; readonly profile: Profile };
  /** The recorded person's messages in order, for the replay behaviour. */
  readonly messages?: readonly string[];
}
