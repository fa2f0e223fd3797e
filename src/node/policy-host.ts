import { cpuDevice } from '../device/cpu/index';
import type { PolicyHost } from '../policy/index';
import { writeOnnxFolder } from './onnx-export';
import { readPolicyFolder, writePolicyFolder } from './policy-folder';

/** `#policy-host` in Node: the CPU device and the file system. */
export const policyHost: PolicyHost = {
  openDevice: () => cpuDevice(),
  readPolicy: readPolicyFolder,
  writePolicy: writePolicyFolder,
  exportOnnx: writeOnnxFolder,
};
