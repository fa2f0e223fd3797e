import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { RunTimes } from '../../src/device/webgpu/run-times';

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
});
afterEach(() => {
  vi.useRealTimers();
});

/** A GPU that does one thing after the other. */
class SlowGpu {
  readonly times = new RunTimes();
  #freeAt = 0;

  /** → when its result was asked for, in milliseconds from now, and when it came. */
  run(program: object, ms: number, runs = 1): Promise<{ readonly asked: number; readonly came: number }> {
    const begunAt = performance.now();
    this.#freeAt = Math.max(begunAt, this.#freeAt) + ms * runs;
    const doneAt = this.#freeAt;
    return this.times.submitted(
      program,
      runs,
    )(async () => {
      const asked = performance.now() - begunAt;
      await new Promise<void>((resolve) => setTimeout(resolve, Math.max(0, doneAt - performance.now())));
      return { asked, came: performance.now() - begunAt };
    });
  }

  /** It has run often enough for one to know how long it takes. */
  async known(ms: number): Promise<object> {
    const program = {};
    for (let i = 0; i < 2; i++) await this.runAlone(program, ms);
    return program;
  }

  async runAlone(program: object, ms: number, runs = 1) {
    const result = this.run(program, ms, runs);
    await vi.runAllTimersAsync();
    return result;
  }
}

it('asks at once for the result of a program that never ran, or once, which may have compiled it', async () => {
  const gpu = new SlowGpu();
  const program = {};
  expect(await gpu.runAlone(program, 5000)).toEqual({ asked: 0, came: 5000 });
  expect(await gpu.runAlone(program, 100)).toEqual({ asked: 0, came: 100 });
  expect(await gpu.runAlone(program, 100)).toEqual({ asked: 75, came: 100 });
});

it('asks late for what took long before, and has it when it is there', async () => {
  const gpu = new SlowGpu();
  const program = await gpu.known(100);
  expect(await gpu.runAlone(program, 100)).toEqual({ asked: 75, came: 100 });
  expect(await gpu.runAlone({}, 100)).toEqual({ asked: 0, came: 100 });
});

it('asks at once for what is soon over', async () => {
  const gpu = new SlowGpu();
  const program = await gpu.known(8);
  expect((await gpu.runAlone(program, 8)).asked).toBe(0);
});

it('comes down to what a program takes that took longer before', async () => {
  const gpu = new SlowGpu();
  const program = await gpu.known(400);
  let last = { asked: 0, came: 0 };
  for (let i = 0; i < 10; i++) last = await gpu.runAlone(program, 40);
  expect(last.came).toBe(40);
  expect(last.asked).toBeGreaterThan(20);
});

it('expects of several runs at a time so many times as much', async () => {
  const gpu = new SlowGpu();
  const program = await gpu.known(6);
  expect(await gpu.runAlone(program, 6, 8)).toEqual({ asked: 36, came: 48 });
  expect((await gpu.runAlone(program, 6)).asked).toBe(0);
});

it('expects a run that waits for another after that one', async () => {
  const gpu = new SlowGpu();
  const program = await gpu.known(100);
  const runs = [gpu.run(program, 100), gpu.run(program, 100)];
  await vi.runAllTimersAsync();
  expect(await Promise.all(runs)).toEqual([
    { asked: 75, came: 100 },
    { asked: 175, came: 200 },
  ]);
});

it('passes on what goes wrong, and expects as before', async () => {
  const gpu = new SlowGpu();
  const program = await gpu.known(100);
  const failing = gpu.times.submitted(program, 1)(() => Promise.reject(new Error('lost')));
  const told = expect(failing).rejects.toThrow('lost');
  await vi.runAllTimersAsync();
  await told;
  expect(await gpu.runAlone(program, 100)).toEqual({ asked: 75, came: 100 });
});
