import { Random } from '../random';

/** What seeds the sampling of one action: nothing but where it stands. */
export function actionSeed(at: { seed: number; dialogueId: string; turn: number; sample: number }): number {
  return new Random(at.seed).split('action', at.dialogueId, at.turn, at.sample).uint32();
}
