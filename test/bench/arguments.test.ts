import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));
const bench = (...args: string[]) => spawnSync(process.execPath, ['--import', 'tsx', ...args], { cwd: root, encoding: 'utf8' });

describe('a bench', () => {
  it('answers --help with what it measures and how it is called, and measures nothing', () => {
    const { status, stdout, stderr } = bench('bench/make-model.ts', '--help');
    expect(stdout).toMatch(/^Writes a model folder .*\n {4}npx tsx bench\/make-model\.ts FOLDER TOKENIZER_FOLDER \[--dtype/s);
    expect(stderr).toBe('');
    expect(status).toBe(0);
  });

  it('answers an option that there is not with its name and the same, without a stack trace', () => {
    const { status, stdout, stderr } = bench('bench/stores.ts', '--round', '3');
    expect(stderr).toMatch(/^Unknown option '--round'.*\n {4}npx tsx bench\/stores\.ts \[--rounds 200\]/s);
    expect(stderr).not.toContain('    at ');
    expect(stdout).toBe('');
    expect(status).toBe(2);
  });
});
