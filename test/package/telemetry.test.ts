import { execFile } from 'node:child_process';
import { existsSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';

/** Computes something on the CPU device in a process of its own, and says whether onnxruntime began to report on it. */
async function reports(environment: Record<string, string>): Promise<boolean> {
  const root = join(import.meta.dirname, '../..');
  const program = `
    import { cpuDevice } from '${root}/src/node/index.ts';
    import { add, Graph } from '${root}/src/tensor/index.ts';
    const device = cpuDevice({ threads: 1 });
    const graph = new Graph();
    const x = graph.input('x', [2]);
    graph.output('y', add(x, x));
    const { y } = await device.run(await device.compile(graph), { inputs: { x: Float32Array.of(1, 2) } });
    await device.dispose();
    console.log(JSON.stringify({ pid: process.pid, y: [...y] }));`;
  // nothing of the environment but where programs are: in CI, for one, it does not report anyway
  const inherited = { PATH: process.env.PATH };
  const args = ['--import', 'tsx', '--input-type=module', '--eval', program];
  const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: root, env: { ...inherited, ...environment } });
  const { pid, y } = JSON.parse(stdout);
  expect(y).toEqual([2, 4]);
  // its reporting writes a log of its own as soon as it starts
  const log = join(tmpdir(), `mat-debug-${pid}.log`);
  const found = existsSync(log);
  rmSync(log, { force: true });
  return found;
}

describe('onnxruntime', () => {
  it('does not report to its maker what runs in it', async () => {
    expect(await reports({})).toBe(false);
  });

  it('would, where the application wants it', async () => {
    expect(await reports({ ORT_DISABLE_TELEMETRY: '0' })).toBe(true);
  });
});
