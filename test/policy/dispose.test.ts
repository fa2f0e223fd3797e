import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

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
  const { stdout, status } = spawnSync(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', program], {
    cwd: fileURLToPath(new URL('../..', import.meta.url)),
    encoding: 'utf8',
  });
  expect(stdout.trim()).toBe('after');
  expect(status).toBe(0);
});
