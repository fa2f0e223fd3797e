import { readFile } from 'node:fs/promises';
import { RlpaError } from '../errors';
import { Random } from '../random';
import { generatePersonas, type Persona, parsePersonaChat, type RecordedDialogue, recordedPersonas } from '../simulation/index';
import type { ExperimentOptions } from './experiment';
import type { Setting } from './setting';
import { generateShortPersonas } from './short-profiles';

/** Who is trained with, and who is kept for measuring: no profile is in both, and no recorded dialogue. */
export interface People {
  readonly training: readonly Persona[];
  readonly heldOut: readonly Persona[];
}

/** Share of recorded dialogues that is kept for measuring. */
const heldOutShare = 0.1;

/** @throws RlpaError `invalid-file`, `invalid-persona` */
export async function findPeople(options: {
  readonly people: ExperimentOptions['people'];
  readonly profile: Setting['profile'];
  readonly seed: number;
  readonly users: number;
  readonly evalUsers: number;
}): Promise<People> {
  const { people, profile, seed, users, evalUsers } = options;
  if (people !== 'generated') return recordedPeople(await readDialogues(people.csv), options);
  const generate = profile === 'short' ? generateShortPersonas : generatePersonas;
  // Combinations of values never meet in the two halves; single values do: a model this small can only read words that it has met.
  const unseenValues = profile === 'short' ? 0 : undefined;
  const heldOut = generate({ count: evalUsers, seed, split: 'held-out', unseenValues });
  return { training: without(heldOut, generate({ count: users, seed, split: 'train', unseenValues })), heldOut };
}

/** Those who have another profile than any of the held-out people. */
function without(heldOut: readonly Persona[], people: readonly Persona[]): Persona[] {
  const profileOf = ({ profile }: Persona) =>
    profile
      .items()
      .map(({ key }) => key)
      .sort()
      .join('\n');
  const kept = new Set(heldOut.map(profileOf));
  return people.filter((persona) => !kept.has(profileOf(persona)));
}

async function readDialogues(path: string): Promise<readonly RecordedDialogue[]> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (cause) {
    throw new RlpaError('invalid-file', `${path}: the file of dialogues cannot be read.`, { file: path }, { cause });
  }
  try {
    return parsePersonaChat(text).dialogues;
  } catch (error) {
    if (!RlpaError.isInstance(error)) throw error;
    throw new RlpaError(error.code, `${path}: ${error.message}`, { ...error.details, file: path }, { cause: error });
  }
}

function recordedPeople(
  dialogues: readonly RecordedDialogue[],
  { seed, users, evalUsers }: { seed: number; users: number; evalUsers: number },
): People {
  const order = new Random(seed).split('held-out').shuffle(dialogues);
  const count = Math.max(1, Math.round(order.length * heldOutShare));
  if (order.length < 2)
    throw new RlpaError('invalid-file', `Recorded dialogues: expected at least 2, one of them to measure with, found ${order.length}.`);
  const heldOut = recordedPersonas(order.slice(0, count));
  // The data gives some personas to speakers of several dialogues.
  return { training: without(heldOut, recordedPersonas(order.slice(count))).slice(0, users), heldOut: heldOut.slice(0, evalUsers) };
}
