/** What a command talks to; `process` is one, and a test makes its own. */
export interface Terminal {
  readonly stdin: NodeJS.ReadableStream & { readonly isTTY?: boolean };
  /** Results only: what a pipe or a machine reads. */
  readonly stdout: NodeJS.WritableStream & { readonly isTTY?: boolean; readonly columns?: number };
  /** Progress, notes and errors. */
  readonly stderr: NodeJS.WritableStream & { readonly isTTY?: boolean; readonly columns?: number };
  readonly env: Readonly<Record<string, string | undefined>>;
}

export function printLine(stream: NodeJS.WritableStream, text = ''): void {
  stream.write(`${text}\n`);
}

const codes = { bold: [1, 22], dim: [2, 22], green: [32, 39], red: [31, 39] } as const;

/** Colours text for a stream, or leaves it alone where the stream is no terminal or `NO_COLOR` (no-color.org) is set. */
export function painter(terminal: Terminal, stream: 'stdout' | 'stderr'): (style: keyof typeof codes, text: string) => string {
  const colours = terminal[stream].isTTY === true && !terminal.env.NO_COLOR && terminal.env.TERM !== 'dumb';
  return (style, text) => (colours ? `\x1b[${codes[style][0]}m${text}\x1b[${codes[style][1]}m` : text);
}
