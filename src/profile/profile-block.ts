import { openResponse, type ParseOptions, parseTurn, type TurnProblem } from './codec';
import type { Profile } from './profile';
import type { ProfileSchema, SlotMap } from './schema';
import type { RejectedValue } from './slot-items';

export type ParsedProfile<S extends SlotMap = SlotMap> =
  | { readonly ok: true; readonly profile: Profile<S>; readonly rejected: readonly RejectedValue[] }
  | { readonly ok: false; readonly problem: TurnProblem };

/** Reads a text that is to be the `<profile>` block alone; a response after it does not matter. Never throws. */
export function parseProfileBlock<S extends SlotMap>(schema: ProfileSchema<S>, text: string, options?: ParseOptions): ParsedProfile<S> {
  const [block] = text.split(openResponse, 1);
  const turn = parseTurn(schema, `${block}\n${openResponse}-</response>`, options);
  return turn.ok ? { ok: true, profile: turn.profile, rejected: turn.rejected } : { ok: false, problem: turn.problem };
}
