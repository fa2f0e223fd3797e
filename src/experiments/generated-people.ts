import { generatePersonas, type Persona } from '../simulation/index';
import type { Setting } from './setting';
import { generateShortPersonas } from './short-profiles';

/** Who is trained with, and who is kept for measuring: no profile is in both, and no recorded dialogue. */
export interface People {
  readonly training: readonly Persona[];
  readonly heldOut: readonly Persona[];
}

export function generatePeople(options: {
  readonly profile: Setting['profile'];
  readonly seed: number;
  readonly users: number;
  readonly evalUsers: number;
}): People {
  const { profile, seed, users, evalUsers } = options;
  const generate = profile === 'short' ? generateShortPersonas : generatePersonas;
  // Combinations of values never meet in the two halves; single values do: a model this small can only read words that it has met.
  const unseenValues = profile === 'short' ? 0 : undefined;
  const heldOut = generate({ count: evalUsers, seed, split: 'held-out', unseenValues });
  return { training: without(heldOut, generate({ count: users, seed, split: 'train', unseenValues })), heldOut };
}

/** Those who have another profile than any of the held-out people. */
export function without(heldOut: readonly Persona[], people: readonly Persona[]): Persona[] {
  const profileOf = ({ profile }: Persona) =>
    profile
      .items()
      .map(({ key }) => key)
      .sort()
      .join('\n');
  const kept = new Set(heldOut.map(profileOf));
  return people.filter((persona) => !kept.has(profileOf(persona)));
}
