import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it } from 'vitest';

const root = join(dirname(fileURLToPath(import.meta.url)), '../..');
const { dependencies, peerDependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Record<
  'dependencies' | 'peerDependencies',
  Record<string, string>
>;

describe('the CPU device where its packages are not installed', () => {
  let folder: string;
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  it.each([
    { missing: 'koffi', installed: ['onnxruntime-node'] },
    { missing: 'onnxruntime-node', installed: ['koffi'] },
  ])(
    'says that it needs $missing, and how to get it in a version that package.json allows, before anything is done',
    ({ missing, installed }) => {
      folder = mkdtempSync(join(tmpdir(), 'rlpa-missing-'));
      cpSync(join(root, 'dist'), join(folder, 'dist'), { recursive: true });
      cpSync(join(root, 'package.json'), join(folder, 'package.json'));
      for (const name of [...Object.keys(dependencies), 'zod', ...installed]) {
        mkdirSync(dirname(join(folder, 'node_modules', name)), { recursive: true });
        symlinkSync(join(root, 'node_modules', name), join(folder, 'node_modules', name));
      }
      const { status, stderr } = spawnSync(process.execPath, ['dist/cli.js', 'demo'], { cwd: folder, encoding: 'utf8', timeout: 60_000 });
      expect(status).toBe(1);
      const version = peerDependencies[missing]!;
      const named = /^\d/.test(version) ? `${missing}@${version}` : missing;
      expect(stderr).toContain(`The CPU device needs the package ${missing}: npm install ${named}\n`);
      expect(stderr).not.toContain('Writing demonstrations');
    },
  );
});
