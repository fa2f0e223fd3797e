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

/** Whether a stream is a terminal that can be drawn on: one that knows what escape sequences are. */
export function isScreen(terminal: Terminal, stream: 'stdout' | 'stderr'): boolean {
  return terminal[stream].isTTY === true && terminal.env.TERM !== 'dumb';
}

const codes = { bold: [1, 22], dim: [2, 22], green: [32, 39], red: [31, 39] } as const;

/** Colours text for a stream, or leaves it alone where the stream is no screen or `NO_COLOR` (no-color.org) is set. */
export function painter(terminal: Terminal, stream: 'stdout' | 'stderr'): (style: keyof typeof codes, text: string) => string {
  const colours = isScreen(terminal, stream) && !terminal.env.NO_COLOR;
  return (style, text) => (colours ? `\x1b[${codes[style][0]}m${text}\x1b[${codes[style][1]}m` : text);
}
