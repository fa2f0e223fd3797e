import type { ChatMessage, ChatRequest } from '../chat/index';
import type { Profile, SlotDefinition, SlotMap } from '../profile/index';
import type { AgentSettings } from './agent-options';
import { allowedBy, type Consent, type SlotFilter, visibleAnswer, visiblePart } from './consent';
import type { AnswerForm } from './prompt';
import { relevantPart, turnsWithin } from './prompt-budget';
import { type TurnPlace, turnsBefore } from './sessions';
import { answerJsonSchema } from './structured-answer';
import type { TurnMeter } from './turn-meter';
import type { Basis } from './user-ledger';
import { emptyRecord, profileOf, type StoredTurn } from './user-record';

/** A message to be answered, or to be learned from. */
export interface UserTurn extends TurnPlace {
  readonly userId: string;
  readonly message: string;
  readonly consent: Consent;
}

/** A turn under way. */
export interface OpenTurn<S extends SlotMap> extends UserTurn {
  readonly basis: Basis;
  /** Without sensitive values for which there is no consent. */
  readonly profile: Profile<S>;
  /** The part of it that the model reads, and that its answer is compared with. */
  readonly shown: Profile<S>;
  /** The turns before it that the model reads, oldest first. */
  readonly earlier: readonly StoredTurn[];
  readonly slots: readonly SlotDefinition[];
  readonly isAllowed: SlotFilter;
  readonly form: AnswerForm | 'reply';
  readonly messages: readonly ChatMessage[];
  readonly meter: TurnMeter;
}

/** Reads what is known and puts the prompt together. @throws what the prompt builder throws */
export function openTurn<S extends SlotMap>(settings: AgentSettings<S>, turn: UserTurn, basis: Basis, meter: TurnMeter): OpenTurn<S> {
  const { schema, budget } = settings;
  const record = basis.record ?? emptyRecord(turn.userId);
  const isAllowed = allowedBy(turn.consent);
  const slots = Object.values<SlotDefinition>(schema.slots).filter(isAllowed);
  const profile = visiblePart(profileOf(schema, record), isAllowed);
  const shown = relevantPart(profile, { message: turn.message, stored: record.items, budget: budget.profile });
  const { maxHistory } = settings.limits;
  const kept = maxHistory > 0 ? turnsBefore(record.turns, turn).slice(-maxHistory) : [];
  const earlier = turnsWithin(kept, budget.history);
  const visible = (one: StoredTurn) => ({ ...one, text: visibleAnswer(settings.form, one, shown, isAllowed) });
  const form = settings.mode === 'after-reply' ? 'reply' : settings.form;
  const messages = settings.prompt({
    schema,
    slots,
    profile: shown,
    omitted: profile.size - shown.size,
    turns: earlier.map(visible),
    message: turn.message,
    form,
  });
  return { ...turn, basis, profile, shown, earlier, slots, isAllowed, form, messages, meter };
}

/** What the model is asked. */
export function requestOf<S extends SlotMap>({ messages, form, slots }: OpenTurn<S>): ChatRequest {
  return { messages, ...(form === 'json' && { jsonSchema: { name: 'profile_turn', schema: answerJsonSchema(slots) } }) };
}
