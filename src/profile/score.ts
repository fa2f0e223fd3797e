import type { ProfileItem } from './item';

export interface ItemMatch {
  readonly inferred: ProfileItem;
  readonly golden: ProfileItem;
  readonly similarity: number;
}

/** How well an inferred profile P̂ agrees with the golden profile P. */
export interface ProfileScore {
  /** |P̂∩P| / |P̂|. */
  readonly precision: number;
  /** |P̂∩P| / |P|. */
  readonly recall: number;
  /** 2|P̂∩P| / (|P̂| + |P|), in [0, 1]. */
  readonly f1: number;
  readonly matches: readonly ItemMatch[];
  /** Golden items that nothing matched. */
  readonly missed: readonly ProfileItem[];
  /** Inferred items that match nothing. */
  readonly extra: readonly ProfileItem[];
}
