/** What needs a file system: `rlpa/node`. */
export { type AdapterFolder, type AdapterToWrite, readAdapterFolder, writeAdapterFolder } from './adapter-folder';
export { type FileCheckpointOptions, fileCheckpoints, fileMetrics } from './checkpoint';
export { episodeLog, JsonLines, readJsonLines } from './jsonl';
export { type ModelToWrite, readModelFolder, writeModelFolder, writeTokenizer } from './model-folder';
export { openSafetensors, type SafetensorsFile, writeSafetensors } from './safetensors-file';
export { writeJsonWhole, writeWhole } from './write-whole';
