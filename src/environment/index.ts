export type { Episode, EpisodeTurn } from './episode';
