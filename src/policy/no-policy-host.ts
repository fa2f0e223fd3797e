import { matmulPrecisionOf } from '../device/index';
import { openWebGpu } from '../device/webgpu/index';
import { RlpaError } from '../errors';
import type { PolicyHost } from './policy-host';

/** `#policy-host` where there is no Node. */
export const policyHost: PolicyHost = {
  openDevice: async (kind) => (kind === 'cpu' ? refuse() : openWebGpu({ matmulPrecision: matmulPrecisionOf(kind) })),
  readPolicy: async () => refuse(),
  writePolicy: async () => refuse(),
  exportOnnx: async () => refuse(),
};

function refuse(): never {
  throw new RlpaError(
    'missing-dependency',
    "LocalPolicy opens the CPU device and folders by Node.js, and this is another runtime. Give it its parts, and the device 'webgpu'.",
    {
      package: 'node',
    },
  );
}
