import { fileURLToPath } from 'node:url';
import { build } from 'tsup';

/** Builds the package without its types: the CPU device's thread and the command line run from `dist`, and are to be those of the sources. */
export default async function buildPackage(): Promise<void> {
  await build({ config: fileURLToPath(new URL('../tsup.config.ts', import.meta.url)), dts: false, silent: true });
}
