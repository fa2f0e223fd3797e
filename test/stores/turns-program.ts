import { once } from 'node:events';
import { writeSync } from 'node:fs';
import { addingAgent } from './adding-agent';
import { openStore, type StorePlace } from './open-store';

/** What the program does, as the JSON of its first argument. */
export interface TurnsProgram {
  readonly place: StorePlace;
  /** Turns go round these users. */
  readonly users: readonly string[];
  /** What the user says they like is this with a number behind it. */
  readonly prefix: string;
  /** As many turns at once, when it is told to begin; without it one after the other, until the program is killed. */
  readonly turns?: number;
  /** Each turn is followed by an erasure. */
  readonly erase?: true;
}

// Each line is written before the program goes on, so a parent has heard of everything that was acknowledged before a kill.
const say = (word: string, text: string) => writeSync(1, `${word} ${text}\n`);

async function main({ place, users, prefix, turns, erase }: TurnsProgram): Promise<void> {
  const store = openStore(place);
  const agent = addingAgent(store);
  const turn = async (number: number) => {
    const userId = users[number % users.length]!;
    const value = `${prefix} ${number}`;
    const { problem } = await agent.respond({ userId, message: `I like ${value}` });
    if (problem) throw new Error(problem.message);
    say('stored', value);
    if (!erase) return;
    await agent.erase(userId);
    say('erased', value);
  };
  say('ready', '');
  if (turns === undefined) for (let number = 0; ; number++) await turn(number);
  await once(process.stdin, 'data');
  process.stdin.destroy();
  await Promise.all(Array.from({ length: turns }, (_, number) => turn(number)));
  await store.close?.();
}

await main(JSON.parse(process.argv[2]!));
