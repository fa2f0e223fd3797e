import type { ProfileStore } from './profile-store';

/** What all agents over a store have in common: made when it is first asked for, and gone with the store. */
export function perStore<T>(make: () => T): (store: ProfileStore) => T {
  const known = new WeakMap<ProfileStore, T>();
  return (store) => {
    const shared = known.get(store) ?? make();
    known.set(store, shared);
    return shared;
  };
}
