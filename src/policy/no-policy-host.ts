import { RlpaError } from '../errors';
import type { PolicyHost } from './policy-host';

/** `#policy-host` where there is no Node. */
export const policyHost: PolicyHost = {
  openDevice: refuse,
  readPolicy: async () => refuse(),
  writePolicy: async () => refuse(),
  exportOnnx: async () => refuse(),
};

function refuse(): never {
  throw new RlpaError('missing-dependency', 'LocalPolicy opens devices and folders by Node.js, and this is another runtime.', {
    package: 'node',
  });
}
