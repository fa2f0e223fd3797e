import { describe } from 'vitest';
import { memoryStore } from '../../src/agent/index';
import { itCanBeGivenUp, itIsAProfileStore } from './conformance';
import { describePersistentStores } from './persistent-stores';

describe('memoryStore', () => {
  const store = memoryStore();
  itIsAProfileStore(() => store);
});

describePersistentStores(({ open }) => {
  itIsAProfileStore(open);
  itCanBeGivenUp(open);
});
