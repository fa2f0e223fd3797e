/** What needs Node: the CPU device, the file system and databases. */
export { cpuDevice } from '../device/cpu/index';
export { type AdapterFolder, type AdapterToWrite, readAdapterFolder, writeAdapterFolder } from './adapter-folder';
export { type FileCheckpointOptions, fileCheckpoints, fileMetrics } from './checkpoint';
export { episodeLog, JsonLines, readJsonLines } from './jsonl';
export { type ModelToWrite, readModelFolder, writeModelFolder, writeTokenizer } from './model-folder';
export { readPolicyFolder, writePolicyFolder } from './policy-folder';
export { readJsonIfThere, readText } from './read-json';
export { openSafetensors, type SafetensorsFile, writeSafetensors } from './safetensors-file';
export {
  type DatabaseProfileStore,
  type FileStoreOptions,
  fileStore,
  type PostgresClient,
  type PostgresConnection,
  type PostgresPool,
  type PostgresStoreOptions,
  postgresStore,
  type SqliteDatabase,
  type SqliteStatement,
  type SqliteStoreOptions,
  sqliteStore,
} from './stores/index';
export { type NodeWebGpuOptions, webgpuDevice } from './webgpu';
export { writeJsonWhole, writeWhole } from './write-whole';
