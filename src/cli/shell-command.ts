/** `rlpa` with these words, as a shell takes it. */
export function shellCommand(...words: readonly string[]): string {
  return ['rlpa', ...words].map(quoted).join(' ');
}

/** The command line that goes on with an interrupted `rlpa train`. */
export function resumeCommand(argv: readonly string[]): string {
  return shellCommand(...argv, ...(argv.includes('--resume') ? [] : ['--resume']));
}

function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
