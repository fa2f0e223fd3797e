export { cpuDevice } from './cpu-device';
