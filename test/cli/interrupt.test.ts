import { EventEmitter } from 'node:events';
import { PassThrough } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { listenForInterrupt } from '../../src/cli/interrupt';

describe('Ctrl-C', () => {
  function listening() {
    const kills: unknown[][] = [];
    const target = Object.assign(new EventEmitter(), {
      pid: 7,
      kill: (...args: unknown[]) => kills.push(args),
    }) as unknown as NodeJS.Process;
    const stderr = new PassThrough();
    const interrupt = listenForInterrupt({ stdin: new PassThrough(), stdout: new PassThrough(), stderr, env: {} }, target);
    return { target, kills, stderr, interrupt };
  }

  it('asks the work to stop the first time and says how to quit at once', () => {
    const { target, kills, stderr, interrupt } = listening();
    target.emit('SIGINT', 'SIGINT');
    expect(interrupt.signal.reason).toMatchObject({ code: 'aborted' });
    expect(stderr.read().toString()).toContain('Press Ctrl-C again');
    expect(kills).toEqual([]);
  });

  it('ends the process by the signal itself the second time, with nobody listening any more', () => {
    const { target, kills } = listening();
    target.emit('SIGINT', 'SIGINT');
    target.emit('SIGINT', 'SIGINT');
    expect(kills).toEqual([[7, 'SIGINT']]);
    expect(target.listenerCount('SIGINT')).toBe(0);
  });

  it('is left to the shell again once the work is over', () => {
    const { target, interrupt } = listening();
    interrupt.dispose();
    expect(target.listenerCount('SIGINT')).toBe(0);
    expect(target.listenerCount('SIGTERM')).toBe(0);
  });
});
