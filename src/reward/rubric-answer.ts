import { type CriterionVerdict, criteria, type Verdict } from './verdict';

export type VerdictReading = { readonly ok: true; readonly verdict: Verdict } | { readonly ok: false; readonly problem: string };

/**
 * Reads a verdict out of a model's answer: the last JSON object in it that is one, whatever prose or code fence stands around.
 * All five criteria must be there with a boolean and a reason; nothing is guessed.
 */
export function readVerdict(answer: string): VerdictReading {
  let problem = 'there is no JSON object in it';
  for (const text of jsonObjects(answer).reverse()) {
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch {
      problem = 'it is not valid JSON';
      continue;
    }
    const given = value as Readonly<Record<string, Partial<CriterionVerdict> | null>>;
    const missing = criteria.find((criterion) => !isVerdict(given[criterion]));
    if (missing === undefined) {
      const verdicts = criteria.map((criterion) => [criterion, { pass: given[criterion]!.pass, reason: given[criterion]!.reason }]);
      return { ok: true, verdict: Object.fromEntries(verdicts) };
    }
    problem = `${missing}: expected {"pass": true or false, "reason": a text}`;
  }
  return { ok: false, problem };
}

function isVerdict(value: Partial<CriterionVerdict> | null | undefined): value is CriterionVerdict {
  return typeof value?.pass === 'boolean' && typeof value.reason === 'string';
}

/** The outermost balanced braces of a text, braces inside of JSON strings not counted. An object left open counts to the end. */
function jsonObjects(text: string): string[] {
  const found: string[] = [];
  let depth = 0;
  let start = 0;
  let quoted = false;
  for (let i = 0; i < text.length; i++) {
    const character = text[i];
    if (depth === 0) {
      if (character === '{') {
        depth = 1;
        start = i;
      }
    } else if (quoted) {
      if (character === '\\') i++;
      else if (character === '"') quoted = false;
    } else if (character === '"') quoted = true;
    else if (character === '{') depth++;
    else if (character === '}' && --depth === 0) found.push(text.slice(start, i + 1));
  }
  if (depth > 0) found.push(text.slice(start));
  return found;
}
