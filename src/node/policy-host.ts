import { cpuDevice } from '../device/cpu/index';
import type { PolicyHost } from '../policy/index';
import { writeOnnxFolder } from './onnx-export';
import { readPolicyFolder, writePolicyFolder } from './policy-folder';

/** `#policy-host` in Node: both devices and the file system. */
export const policyHost: PolicyHost = {
  openDevice: async (kind) => (kind === 'webgpu' ? (await import('./webgpu')).webgpuDevice() : cpuDevice()),
  readPolicy: readPolicyFolder,
  writePolicy: writePolicyFolder,
  exportOnnx: writeOnnxFolder,
};
