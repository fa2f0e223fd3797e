import { RlpaError } from '../errors';
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

/** @throws `invalid-persona` for an empty golden profile or a change before turn 2, when nothing has been told yet. */
export function checkPersona(persona: Persona): void {
  const { id, profile, change } = persona;
  if (profile.size === 0) throw new RlpaError('invalid-persona', `Persona "${id}" has an empty golden profile.`, { persona: id });
  if (!change) return;
  if (!Number.isInteger(change.turn) || change.turn < 2) {
    throw new RlpaError('invalid-persona', `Persona "${id}" changes at a whole turn from 2 on; found ${change.turn}.`, { persona: id });
  }
  if (change.profile.size === 0) {
    throw new RlpaError('invalid-persona', `Persona "${id}" changes to an empty profile at turn ${change.turn}.`, { persona: id });
  }
}
