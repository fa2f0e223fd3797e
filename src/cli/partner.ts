import type { PersonalizedAgent, RecordedChange, StoredItem, TurnPart } from '../agent/index';

/** A value of the profile, and why it is believed where that is known. */
export type KnownValue = Pick<StoredItem, 'slot' | 'text'> & Partial<Pick<StoredItem, 'source' | 'confidence' | 'evidence'>>;

/** What a turn came to. */
export interface PartnerTurn {
  readonly reply: string;
  readonly changes: readonly RecordedChange[];
  /** Slot to value or values, after the turn. */
  readonly profile: Readonly<Record<string, unknown>>;
  readonly problem?: { readonly message: string };
}

/** Whom a person in the terminal talks to: an agent of this process, or one behind a server. */
export interface Partner {
  /** Answers a message: the reply as it is written, then the turn. */
  stream(
    message: string,
    signal: AbortSignal,
  ): AsyncIterable<Extract<TurnPart, { type: 'reply' }> | ({ readonly type: 'finish' } & PartnerTurn)>;
  /** What is known of the person now. */
  known(): Promise<readonly KnownValue[]>;
  /** Everything that was ever known, and how to forget it; absent where that is out of reach. */
  readonly memory?: {
    history(): Promise<readonly StoredItem[]>;
    /** → whether there was anything. */
    erase(): Promise<boolean>;
  };
}

/** An agent as one of its users meets it. */
export function agentPartner(agent: PersonalizedAgent, userId: string): Partner {
  const history = () => agent.history(userId);
  return {
    async *stream(message, signal) {
      for await (const part of agent.stream({ userId, message, signal })) {
        if (part.type === 'reply') yield part;
        else if (part.type === 'finish') yield { ...part, profile: part.profile.toJSON() };
      }
    },
    async known() {
      const items = (await history()).filter(({ validTo, refused }) => validTo === undefined && refused === undefined);
      return agent.schema.slotNames.flatMap((name) => items.filter(({ slot }) => slot === name));
    },
    memory: { history, erase: () => agent.erase(userId) },
  };
}
