import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));
const run = (program: string) =>
  spawnSync(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', program], { cwd: root, encoding: 'utf8' });

it('lets a program wait for the end of the device, and go on after it', () => {
  const device = new URL('../../src/device/cpu/index.ts', import.meta.url).href;
  const program = `
    const { cpuDevice } = await import(${JSON.stringify(device)});
    const device = cpuDevice({ threads: 1 });
    const buffer = device.create([2], 'f32');
    await device.read(buffer);
    device.release([buffer]);
    await device.dispose();
    console.log('after');
  `;
  const { stdout, status } = run(program);
  expect(stdout.trim()).toBe('after');
  expect(status).toBe(0);
});

it('waits for the call of onnxruntime that is under way, whose thread could not be ended without the process', () => {
  const micro = new URL('../integration/micro-policy.ts', import.meta.url).href;
  const program = `
    const { microPolicy } = await import(${JSON.stringify(micro)});
    const sequences = Array.from({ length: 64 }, () => ({ tokens: new Int32Array(400).fill(7), actionMask: new Uint8Array(400).fill(1, 1) }));
    for (let wait = 0; wait < 50; wait += 10) {
      const policy = microPolicy();
      await policy.score(sequences.slice(0, 1));
      const scoring = policy.score(sequences).then(() => 'done', ({ code }) => code);
      await new Promise((resolve) => setTimeout(resolve, wait));
      await policy.dispose();
      console.log(await scoring);
    }
  `;
  const { stdout, stderr, status } = run(program);
  expect(stderr).toBe('');
  expect(stdout.trim().split('\n')).toEqual(Array(5).fill(expect.stringMatching(/^(done|device-failed)$/)));
  expect(status).toBe(0);
});
