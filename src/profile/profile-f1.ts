import { checkKnown } from '../errors';
import type { ProfileItem } from './item';
import { type ItemMatch, type ItemMatcher, matchItems, normalizedMatcher, type SynchronousItemMatcher, schemaMatcher } from './matching';
import type { Profile } from './profile';

/** How well an inferred profile P̂ agrees with the golden profile P. All three ratios are in [0, 1]. */
export interface ProfileScore {
  /** |P̂∩P| / |P̂|. */
  readonly precision: number;
  /** |P̂∩P| / |P|. */
  readonly recall: number;
  /** 2|P̂∩P| / (|P̂| + |P|). */
  readonly f1: number;
  readonly matches: readonly ItemMatch[];
  /** Golden items that nothing matched. */
  readonly missed: readonly ProfileItem[];
  /** Inferred items that match nothing. */
  readonly extra: readonly ProfileItem[];
}

export interface ProfileF1Options {
  /** By default each slot's own matching, as the golden profile's schema says; `normalized` for bare items. */
  readonly matcher?: ItemMatcher | undefined;
  /** Compare items of different slots too. */
  readonly acrossSlots?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Precision, recall and F1 over slot-value pairs (RLPA, arXiv 2505.15456), where the intersection is a one-to-one assignment. An
 * empty profile inferred for a user of whom nothing is known is right: all three are 1. If only one is empty, they are 0.
 *
 * @throws what the matcher throws.
 * @example
 * import { ProfileSchema, profileF1 } from 'rlpa';
 * const golden = ProfileSchema.standard.profile({ occupation: 'nurse', interests: ['hiking', 'jazz'] });
 * const inferred = ProfileSchema.standard.profile({ occupation: 'A Nurse' });
 * const { precision, recall, f1 } = await profileF1(inferred, golden); // 1, 1/3, 1/2
 */
export async function profileF1(
  inferred: Profile | readonly ProfileItem[],
  golden: Profile | readonly ProfileItem[],
  options: ProfileF1Options = {},
): Promise<ProfileScore> {
  checkKnown('profileF1', options, { matcher: true, acrossSlots: true, signal: true });
  const { matcher = defaultMatcher(golden), acrossSlots, signal } = options;
  const [found, expected] = [itemsOf(inferred), itemsOf(golden)];
  return scoreMatches(found, expected, await matchItems(found, expected, matcher, { acrossSlots, signal }));
}

function itemsOf(profile: Profile | readonly ProfileItem[]): readonly ProfileItem[] {
  return isItems(profile) ? profile : profile.items();
}

const normalized = normalizedMatcher();
const matcherOfSchema = new WeakMap<object, SynchronousItemMatcher>();

function defaultMatcher(golden: Profile | readonly ProfileItem[]): SynchronousItemMatcher {
  if (isItems(golden)) return normalized;
  let matcher = matcherOfSchema.get(golden.schema);
  if (!matcher) {
    matcher = schemaMatcher(golden.schema);
    matcherOfSchema.set(golden.schema, matcher);
  }
  return matcher;
}

function isItems(profile: Profile | readonly ProfileItem[]): profile is readonly ProfileItem[] {
  return Array.isArray(profile);
}

function scoreMatches(inferred: readonly ProfileItem[], golden: readonly ProfileItem[], matches: readonly ItemMatch[]): ProfileScore {
  const matchedInferred = new Set(matches.map((match) => match.inferred));
  const matchedGolden = new Set(matches.map((match) => match.golden));
  const bothEmpty = inferred.length === 0 && golden.length === 0;
  const ratio = (count: number, total: number) => (total > 0 ? count / total : bothEmpty ? 1 : 0);
  return {
    precision: ratio(matches.length, inferred.length),
    recall: ratio(matches.length, golden.length),
    f1: ratio(2 * matches.length, inferred.length + golden.length),
    matches,
    missed: golden.filter((item) => !matchedGolden.has(item)),
    extra: inferred.filter((item) => !matchedInferred.has(item)),
  };
}
