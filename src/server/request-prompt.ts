import { fencedPrompt, type PromptBuilder } from '../agent/index';

/**
 * The prompt of one request: what the application says in system messages is the instruction of the agent's own prompt, and follows that of a
 * prompt that was given, such as a policy's.
 *
 * @param turns how many of the earlier turns are shown, the latest ones
 */
export function requestPrompt(given: PromptBuilder | undefined, instruction: string | undefined, turns: number): PromptBuilder {
  const base = given ?? fencedPrompt({ instruction });
  const build: PromptBuilder = (context) => {
    const shown = turns === 0 ? [] : context.turns.slice(-turns);
    const [system, ...rest] = base({ ...context, turns: shown });
    const more = given && instruction ? `\n\n${instruction}` : '';
    return [{ ...system!, content: `${system!.content}${more}` }, ...rest];
  };
  return Object.assign(build, { wholeTurnsOnly: base.wholeTurnsOnly ?? false });
}
