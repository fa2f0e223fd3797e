import { munkres } from 'munkres';
import { checkKnown, invalidOption, RlpaError } from '../errors';
import { isFunctionWord } from './function-words';
import { normalizedText, type ProfileItem } from './item';
import type { ProfileSchema } from './schema';

export type ItemPair = readonly [inferred: ProfileItem, golden: ProfileItem];

/** Says how alike the values of two items are. */
export interface ItemMatcher {
  readonly name: string;
  /** Pairs at or above it count as the same fact. */
  readonly threshold: number;
  /** One similarity in [0, 1] for each pair. Slots do not enter into it. */
  similarity(pairs: readonly ItemPair[], signal?: AbortSignal): Promise<number[]> | number[];
  /** For matchers under which "the same" is an equivalence: items are the same if their identities are. Spares the pairs. */
  readonly identity?: (item: ProfileItem) => string;
}

/** A matcher that needs no model, and so no wait. */
export interface SynchronousItemMatcher extends ItemMatcher {
  similarity(pairs: readonly ItemPair[]): number[];
}

export interface ItemMatch {
  readonly inferred: ProfileItem;
  readonly golden: ProfileItem;
  readonly similarity: number;
}

export interface MatchOptions {
  /** Compare items of different slots too: for profiles whose slots are named freely. */
  readonly acrossSlots?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** The same text, letter for letter. */
export function exactMatcher(): SynchronousItemMatcher {
  return identityMatcher('exact', (item) => item.text);
}

/** The same text but for case, punctuation, articles, white space, accents and the writing of numbers: see `normalizeText`. */
export function normalizedMatcher(): SynchronousItemMatcher {
  return identityMatcher('normalized', normalizedText);
}

/**
 * Token F1 of the normalised texts: 2·common/(tokens of one + tokens of the other), as in SQuAD, where not articles alone but all function
 * words are left out. With them "I like history" and "I like jazz" would be two thirds the same, and three sentences that begin as most do
 * would be a better profile of anybody than what they said. A text of nothing but function words is compared by those.
 *
 * @throws `invalid-option` for a threshold outside (0, 1].
 * @example
 * import { fuzzyMatcher, ProfileSchema } from 'rlpa';
 * const item = (occupation: string) => ProfileSchema.standard.profile({ occupation }).items()[0]!;
 * fuzzyMatcher().similarity([[item('night nurse'), item('a nurse')]]); // [0.667]: 2·1 / (2 + 1)
 */
export function fuzzyMatcher(options: { threshold?: number } = {}): SynchronousItemMatcher {
  checkKnown('fuzzyMatcher', options, { threshold: true });
  const { threshold = 0.5 } = options;
  checkThreshold('fuzzyMatcher', threshold);
  return { name: 'fuzzy', threshold, similarity: (pairs) => pairs.map(([a, b]) => tokenF1(a, b)) };
}

/** Compares each slot's values as the slot asks for: the default. */
export function schemaMatcher(schema: ProfileSchema): SynchronousItemMatcher {
  const matchers = { exact: exactMatcher(), normalized: normalizedMatcher(), fuzzy: fuzzyMatcher() };
  const kinds = new Set(Object.values(schema.slots).map((slot) => slot.matching));
  if (kinds.size === 1) return matchers[[...kinds][0]!];
  if (!kinds.has('fuzzy')) {
    // equal texts, or equal normalised ones: there is no need to compare each value with each
    return identityMatcher('schema', (item) => (schema.slots[item.slot]?.matching === 'exact' ? item.text : normalizedText(item)));
  }
  return {
    name: 'schema',
    threshold: Number.MIN_VALUE,
    similarity: (pairs) =>
      pairs.map((pair) => {
        const matcher = matchers[schema.slots[pair[1].slot]?.matching ?? 'normalized'];
        const [similarity] = matcher.similarity([pair]);
        return similarity! >= matcher.threshold ? similarity! : 0;
      }),
  };
}

/**
 * Pairs items one to one: as many pairs as the matcher allows, and among those choices the one with the greatest total similarity.
 * Only items of one slot are paired, unless `acrossSlots`.
 *
 * @throws what the matcher throws; `aborted`.
 * @example
 * import { fuzzyMatcher, matchItems, ProfileSchema } from 'rlpa';
 * const items = (...interests: string[]) => ProfileSchema.standard.profile({ interests }).items();
 * const matches = await matchItems(items('hiking', 'jazz'), items('modern jazz', 'opera'), fuzzyMatcher());
 * matches.map((match) => [match.inferred.text, match.golden.text]); // [['jazz', 'modern jazz']]
 */
export async function matchItems(
  inferred: readonly ProfileItem[],
  golden: readonly ProfileItem[],
  matcher: ItemMatcher = normalizedMatcher(),
  options: MatchOptions = {},
): Promise<ItemMatch[]> {
  checkKnown('matchItems', options, { acrossSlots: true, signal: true });
  if (matcher.identity) return matchIdentical(inferred, golden, matcher.identity, options);
  const candidates = candidatePairs(inferred, golden, options);
  if (candidates.length === 0) return [];
  const similarities = await matcher.similarity(
    candidates.map(([i, g]) => [inferred[i]!, golden[g]!]),
    options.signal,
  );
  return assign(inferred, golden, candidates, similarities, matcher);
}

type IndexPair = readonly [inferred: number, golden: number];

function identityMatcher(name: string, identity: (item: ProfileItem) => string): SynchronousItemMatcher {
  return { name, threshold: 1, identity, similarity: (pairs) => pairs.map(([a, b]) => (identity(a) === identity(b) ? 1 : 0)) };
}

/** Within an equivalence class every pairing is as good as another, so first come, first served is a maximum assignment. */
function matchIdentical(
  inferred: readonly ProfileItem[],
  golden: readonly ProfileItem[],
  identity: (item: ProfileItem) => string,
  { acrossSlots = false }: MatchOptions,
): ItemMatch[] {
  const waiting = new Map<string, ProfileItem[]>();
  const classOf = (item: ProfileItem) => (acrossSlots ? identity(item) : `${item.slot}:${identity(item)}`);
  for (const item of golden) {
    const name = classOf(item);
    const list = waiting.get(name);
    if (list) list.push(item);
    else waiting.set(name, [item]);
  }
  const matches: ItemMatch[] = [];
  for (const item of inferred) {
    const partner = waiting.get(classOf(item))?.shift();
    if (partner) matches.push({ inferred: item, golden: partner, similarity: 1 });
  }
  return matches;
}

function candidatePairs(
  inferred: readonly ProfileItem[],
  golden: readonly ProfileItem[],
  { acrossSlots = false }: MatchOptions,
): IndexPair[] {
  const pairs: IndexPair[] = [];
  for (let i = 0; i < inferred.length; i++) {
    for (let g = 0; g < golden.length; g++) {
      if (acrossSlots || inferred[i]!.slot === golden[g]!.slot) pairs.push([i, g]);
    }
  }
  return pairs;
}

function assign(
  inferred: readonly ProfileItem[],
  golden: readonly ProfileItem[],
  candidates: readonly IndexPair[],
  similarities: readonly number[],
  matcher: ItemMatcher,
): ItemMatch[] {
  if (similarities.length !== candidates.length) {
    const message = `Matcher "${matcher.name}" gave ${similarities.length} similarities for ${candidates.length} pairs.`;
    throw new RlpaError('model-failed', message, { matcher: matcher.name });
  }
  const allowed = candidates
    .map(([i, g], index) => ({ i, g, similarity: similarities[index]! }))
    .filter(({ similarity }) => similarity >= matcher.threshold && similarity > 0);
  const matches = isUnambiguous(allowed) ? allowed : maximumAssignment(allowed);
  return matches.map(({ i, g, similarity }) => ({ inferred: inferred[i]!, golden: golden[g]!, similarity }));
}

interface Edge {
  readonly i: number;
  readonly g: number;
  readonly similarity: number;
}

/** No item occurs twice, so every allowed pair is taken. */
function isUnambiguous(edges: readonly Edge[]): boolean {
  return new Set(edges.map(({ i }) => i)).size === edges.length && new Set(edges.map(({ g }) => g)).size === edges.length;
}

function maximumAssignment(edges: readonly Edge[]): Edge[] {
  const rows = [...new Set(edges.map(({ i }) => i))];
  const columns = [...new Set(edges.map(({ g }) => g))];
  const rowOf = new Map(rows.map((i, row) => [i, row]));
  const columnOf = new Map(columns.map((g, column) => [g, column]));
  // All similarities together weigh less than one pair more.
  const weight = 1 / (Math.min(rows.length, columns.length) + 1);
  const costs = rows.map(() => new Float64Array(columns.length));
  const edgeAt = new Map<number, Edge>();
  for (const edge of edges) {
    const row = rowOf.get(edge.i)!;
    const column = columnOf.get(edge.g)!;
    costs[row]![column] = -(1 + edge.similarity * weight);
    edgeAt.set(row * columns.length + column, edge);
  }
  return munkres(costs).flatMap(([row, column]) => edgeAt.get(row * columns.length + column) ?? []);
}

const tokensByText = new Map<string, readonly string[]>();
const maxCachedTexts = 10_000;

function tokensOf(item: ProfileItem): readonly string[] {
  const text = normalizedText(item);
  let tokens = tokensByText.get(text);
  if (!tokens) {
    const all = text.split(' ');
    const telling = all.filter((token) => !isFunctionWord(token));
    tokens = telling.length > 0 ? telling : all;
    if (tokensByText.size >= maxCachedTexts) tokensByText.clear();
    tokensByText.set(text, tokens);
  }
  return tokens;
}

function tokenF1(a: ProfileItem, b: ProfileItem): number {
  const rest = [...tokensOf(b)];
  const total = tokensOf(a).length + rest.length;
  let common = 0;
  for (const token of tokensOf(a)) {
    const index = rest.indexOf(token);
    if (index < 0) continue;
    rest.splice(index, 1);
    common++;
  }
  return (2 * common) / total;
}

const fuzzy = fuzzyMatcher();

/** The item that is most like the wanted one by the fuzzy matcher, if any is like it at all. */
export function closestItem(items: readonly ProfileItem[], wanted: ProfileItem): ProfileItem | undefined {
  const similarities = fuzzy.similarity(items.map((item) => [item, wanted]));
  const best = Math.max(...similarities, 0);
  return best >= fuzzy.threshold ? items[similarities.indexOf(best)] : undefined;
}

/** @internal */
export function checkThreshold(owner: string, threshold: number): void {
  if (!(threshold > 0 && threshold <= 1)) throw invalidOption(owner, 'threshold', 'a number in (0, 1]', threshold);
}
