import { cpuDevice } from '../src/device/cpu/index';
import type { Device } from '../src/device/index';

/** The devices that the engine's suites run over, each under its name. */
export const devices: Record<string, () => Device> = {
  cpu: () => cpuDevice({ threads: 2 }),
};
