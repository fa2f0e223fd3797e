#!/usr/bin/env node
import { createContext } from './create-context';
import { listenForInterrupt } from './interrupt';
import { runCommandLine } from './program';

// A reader that has seen enough, such as `head`, is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  throw error;
});

const interrupt = listenForInterrupt(process, process);
process.exitCode = await runCommandLine(createContext(process.argv.slice(2), interrupt.signal));
interrupt.dispose();
