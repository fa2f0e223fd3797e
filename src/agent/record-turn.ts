import {
  formatTurn,
  isArticle,
  knownNormalizedText,
  normalizeText,
  type Profile,
  type ProfileItem,
  type RejectedValue,
  type SlotDefinition,
  type SlotMap,
} from '../profile/index';
import type { AgentSettings } from './agent-options';
import type { Answer } from './answer';
import { visibleAnswer, visiblePart, type WrittenAnswer } from './consent';
import { findProvenance } from './evidence';
import type { OpenTurn } from './open-turn';
import { SpokenMessage } from './own-words';
import { confirmItems, type RecordedProfile, recordProfile } from './profile-history';
import { applyProposals } from './proposals';
import { spokenText } from './said-words';
import { keptTurns } from './sessions';
import { screenProposals } from './support';
import { bringUpToDate, profileOf, type StoredTurn, type UserRecord } from './user-record';

export interface RecordedAnswer<S extends SlotMap> extends RecordedProfile<S> {
  readonly profile: Profile<S>;
  readonly rejected: readonly RejectedValue[];
}

/** What an answer changes, on top of the latest record, which need not be the one that the turn began with. */
export function recordAnswer<S extends SlotMap>(
  { schema, generateId, migrations }: AgentSettings<S>,
  turn: OpenTurn<S>,
  { proposals, known }: Answer,
  latest: UserRecord,
  at: string,
): RecordedAnswer<S> {
  const { record, refused: outdated } = bringUpToDate(schema, latest);
  const before = profileOf(schema, record);
  const said = [...turn.earlier, turn].map(({ id, message }) => new SpokenMessage(schema, { id, content: message })).reverse();
  const isStated = ({ key }: SlotDefinition) =>
    record.items.some(({ slot, validTo, source }) => slot === key && validTo === undefined && source === 'stated');
  const { supported, refused } = screenProposals(before, proposals, said, isStated);
  const { profile, rejected, quotes } = applyProposals(before, supported, turn.isAllowed);
  const recorded = recordProfile(record, before, profile, {
    at,
    newId: generateId,
    provenance: (item: ProfileItem) => findProvenance(item, schema.slotByLabel(item.slot), said, quotes.get(item.key)),
    schemaVersion: migrations.length,
  });
  // What the user said before was looked through when the value became known.
  const now = said.slice(0, 1);
  const confirmed = confirmItems(recorded.record, known ? itemsIn(turn, known) : [], (item) =>
    findProvenance(item, schema.slotByLabel(item.slot), now),
  );
  return { ...recorded, record: confirmed, profile, rejected: [...outdated, ...refused, ...rejected] };
}

/** What of the profile the message may speak of: a look that spares reading it for every item. */
function itemsIn<S extends SlotMap>({ message, isAllowed }: OpenTurn<S>, profile: Profile): readonly ProfileItem[] {
  const said = normalizeText(message);
  const isSaid = (normalized: string) => normalized.split(' ').every((word) => said.includes(word));
  return visiblePart(profile, isAllowed)
    .items()
    .filter((item) => {
      const normalized = knownNormalizedText(item);
      if (normalized !== undefined) return isSaid(normalized);
      // Word by word: the first one mostly shows that it is not said, and writing all of a text out anew takes long.
      const words = spokenText(item.value).split(/\s+/);
      return words.every((word) => isArticle(word) || isSaid(normalizeText(word)));
    });
}

/** Adds the turn to the record. */
export function recordTurn<S extends SlotMap>(
  settings: AgentSettings<S>,
  turn: OpenTurn<S>,
  answer: Answer,
  { record }: RecordedAnswer<S>,
  at: string,
): UserRecord {
  const { id, sessionId, message } = turn;
  const { text, reply, problem } = answer;
  const written: WrittenAnswer = { reply, text, ...(problem && { malformed: true }) };
  const stored: StoredTurn = {
    id,
    ...(sessionId !== undefined && { sessionId }),
    at,
    message,
    ...written,
    text: keptText(settings, turn, written),
  };
  return { ...record, turns: keptTurns([...record.turns, stored], settings.limits) };
}

/** The model's own text in the form of a whole turn, without sensitive values for which there was no consent. */
function keptText<S extends SlotMap>({ form }: AgentSettings<S>, turn: OpenTurn<S>, answer: WrittenAnswer): string {
  if (turn.form !== 'reply') return visibleAnswer(form, answer, turn.shown, turn.isAllowed);
  return form === 'json' ? JSON.stringify({ changes: [], reply: answer.reply }) : formatTurn(turn.shown, answer.reply);
}
