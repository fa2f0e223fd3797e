import { EventEmitter } from 'node:events';
import { PassThrough } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { listenForInterrupt } from '../../src/cli/interrupt';

describe('Ctrl-C', () => {
  function listening() {
    const exits: (number | undefined)[] = [];
    const target = Object.assign(new EventEmitter(), { exit: (code?: number) => exits.push(code) }) as unknown as NodeJS.Process;
    const stderr = new PassThrough();
    const interrupt = listenForInterrupt({ stdin: new PassThrough(), stdout: new PassThrough(), stderr, env: {} }, target);
    return { target, exits, stderr, interrupt };
  }

  it('asks the work to stop the first time and says how to quit at once', () => {
    const { target, exits, stderr, interrupt } = listening();
    target.emit('SIGINT', 'SIGINT');
    expect(interrupt.signal.reason).toMatchObject({ code: 'aborted' });
    expect(stderr.read().toString()).toContain('Press Ctrl-C again');
    expect(exits).toEqual([]);
  });

  it('ends the process with 130 the second time', () => {
    const { target, exits } = listening();
    target.emit('SIGINT', 'SIGINT');
    target.emit('SIGINT', 'SIGINT');
    expect(exits).toEqual([130]);
  });

  it('is left to the shell again once the work is over', () => {
    const { target, interrupt } = listening();
    interrupt.dispose();
    expect(target.listenerCount('SIGINT')).toBe(0);
    expect(target.listenerCount('SIGTERM')).toBe(0);
  });
});
