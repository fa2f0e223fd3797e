import { cpuDevice } from '../device/cpu/index';
import { matmulPrecisionOf } from '../device/index';
import type { PolicyHost } from '../policy/index';
import { writeOnnxFolder } from './onnx-export';
import { readPolicyFolder, writePolicyFolder } from './policy-folder';

/** `#policy-host` in Node: both devices and the file system. */
export const policyHost: PolicyHost = {
  openDevice: async (kind) =>
    kind === 'cpu' ? cpuDevice() : (await import('./webgpu')).webgpuDevice({ matmulPrecision: matmulPrecisionOf(kind) }),
  readPolicy: readPolicyFolder,
  writePolicy: writePolicyFolder,
  exportOnnx: writeOnnxFolder,
};
