import { openResponse, parseTurn, type TurnProblem } from './codec';
import type { Profile } from './profile';
import type { ProfileSchema, SlotMap } from './schema';

/**
 * Reads a text that is to be the `<profile>` block alone; a response after it does not matter. Never throws.
 *
 * @example
 * parseProfileBlock(schema, '<profile>\n- Occupation: nurse\n</profile>');
 */
export function parseProfileBlock<S extends SlotMap>(
  schema: ProfileSchema<S>,
  text: string,
): { readonly ok: true; readonly profile: Profile<S> } | { readonly ok: false; readonly problem: TurnProblem } {
  const [block] = text.split(openResponse, 1);
  const turn = parseTurn(schema, `${block}\n${openResponse}-</response>`);
  return turn.ok ? { ok: true, profile: turn.profile } : { ok: false, problem: turn.problem };
}
