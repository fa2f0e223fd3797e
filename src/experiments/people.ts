import { RlpaError } from '../errors';
import { readText } from '../node/index';
import { Random } from '../random';
import { parsePersonaChat, type RecordedDialogue, recordedPersonas } from '../simulation/index';
import type { ExperimentOptions } from './experiment';
import { generatePeople, type People, without } from './generated-people';
import type { Setting } from './setting';

/** Share of recorded dialogues that is kept for measuring. */
const heldOutShare = 0.1;

/** @throws RlpaError `invalid-file`, `file-failed`, `invalid-persona` */
export async function findPeople(options: {
  readonly people: ExperimentOptions['people'];
  readonly profile: Setting['profile'];
  readonly seed: number;
  readonly users: number;
  readonly evalUsers: number;
}): Promise<People> {
  const { people } = options;
  return people === 'generated' ? generatePeople(options) : recordedPeople(await readDialogues(people.csv), options);
}

async function readDialogues(path: string): Promise<readonly RecordedDialogue[]> {
  const text = await readText(path);
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
