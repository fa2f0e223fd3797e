import { readFileSync } from 'node:fs';
import { type ParseArgsConfig, parseArgs } from 'node:util';

/** The arguments of a bench. `--help` prints the comment that its file begins with; an argument that there is not ends it likewise. */
export function readArguments<T extends ParseArgsConfig>(config: T): ReturnType<typeof parseArgs<T>> {
  if (process.argv.includes('--help')) {
    console.log(usage(config));
    process.exit();
  }
  try {
    return parseArgs(config);
  } catch (error) {
    console.error(`${(error as Error).message}\n\n${usage(config)}`);
    process.exit(2);
  }
}

function usage({ options = {} }: ParseArgsConfig): string {
  const [, comment] = /^\/\*\*\n(.*?)\n \*\//s.exec(readFileSync(process.argv[1]!, 'utf8')) ?? [];
  // a bundle has lost it
  const names = Object.keys(options).map((name) => `--${name}`);
  return comment?.replaceAll(/^ \* ?/gm, '') ?? `Options: ${names.join(', ')}`;
}
