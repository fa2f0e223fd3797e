import { mkdtemp, readdir, readFile, rename, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { fileCheckpoints, fileMetrics } from '../../src/node/checkpoint';
import { writeSafetensors } from '../../src/node/index';
import type { Checkpoint } from '../../src/training/index';
import { decodeSafetensors } from '../../src/transformer/index';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'rlpa-checkpoint-'));
});
afterEach(async () => {
  await rm(directory, { recursive: true, force: true });
});

function checkpoint(position: number): Checkpoint {
  const weights = Float32Array.from([position, 0.1, -1e-30, 3e30]);
  return {
    kind: 'ppo',
    position,
    fingerprint: 'tiny',
    trainer: { dataPosition: position * 4, klCoefficient: 0.1 + 0.2 },
    policy: {
      version: position * 8,
      optimizerStep: position * 8,
      tensors: new Map([
        ['weights', { shape: [2, 2], data: weights }],
        ['empty', { shape: [0], data: new Float32Array() }],
        ['m.weights', { shape: [4], data: weights.map((value) => value / 3) }],
      ]),
    },
  };
}

const names = async () => (await readdir(directory)).sort();

describe('checkpoints in files', () => {
  it('come back bit for bit', async () => {
    const store = fileCheckpoints(directory);
    expect(await store.latest()).toBeUndefined();
    await store.save(checkpoint(3));
    expect(await fileCheckpoints(directory).latest()).toEqual(checkpoint(3));
  });

  it('are safetensors that other programs read', async () => {
    const path = await fileCheckpoints(directory).save(checkpoint(1));
    expect([...decodeSafetensors(await readFile(path), path).keys()].sort()).toEqual(['empty', 'm.weights', 'weights']);
  });

  it('are kept to the newest few, in the order of their positions', async () => {
    const store = fileCheckpoints(join(directory, 'runs/1'), { keep: 2 });
    for (const position of [8, 9, 10, 11]) await store.save(checkpoint(position));
    const kept = await readdir(join(directory, 'runs/1'));
    expect(kept.sort()).toEqual(['checkpoint-00000010.safetensors', 'checkpoint-00000011.safetensors']);
    expect((await store.latest())!.position).toBe(11);
  });

  it('that are torn are passed over for the one before', async () => {
    const store = fileCheckpoints(directory);
    await store.save(checkpoint(1));
    const path = await store.save(checkpoint(2));
    const whole = await readFile(path);
    for (const length of [0, 5, 100, whole.length - 1]) {
      await writeFile(path, whole);
      await truncate(path, length);
      const damaged: string[] = [];
      expect((await store.latest(({ message }) => damaged.push(message)))!.position, `cut to ${length} bytes`).toBe(1);
      expect(damaged).toEqual([expect.stringContaining(path)]);
    }
    const flipped = Buffer.from(whole);
    flipped[flipped.length - 3]! ^= 1;
    await writeFile(path, flipped);
    expect((await store.latest())!.position).toBe(1);
    await writeFile(path, whole);
    expect((await store.latest())!.position).toBe(2);
  });

  it.each(['null', '[]', '{}', 'half'])('that say %s of themselves are passed over for the one before', async (description) => {
    const store = fileCheckpoints(directory);
    await store.save(checkpoint(1));
    await writeSafetensors(join(directory, 'checkpoint-00000002.safetensors'), new Map(), { checkpoint: description });
    expect((await store.latest())!.position).toBe(1);
  });

  it('that are all torn are an error that names the file, not a fresh start', async () => {
    const store = fileCheckpoints(directory);
    const path = await store.save(checkpoint(1));
    await truncate(path, 40);
    await expect(store.latest()).rejects.toMatchObject({ code: 'invalid-checkpoint', message: expect.stringContaining(path) });
  });

  it('of a killed process that were half-written are no checkpoints, and are tidied up', async () => {
    const store = fileCheckpoints(directory);
    await writeFile(join(directory, '.checkpoint-00000009.safetensors.abcd.partial'), 'half');
    expect(await store.latest()).toBeUndefined();
    await store.save(checkpoint(1));
    expect(await names()).toEqual(['checkpoint-00000001.safetensors']);
  });

  it('leave nothing behind when they cannot be written', async () => {
    const store = fileCheckpoints(directory);
    await store.save(checkpoint(1));
    const broken = checkpoint(2);
    const tensors = new Map([['weights', { shape: [3], data: new Float32Array(2) }]]);
    await expect(store.save({ ...broken, policy: { ...broken.policy, tensors } })).rejects.toMatchObject({ code: 'invalid-file' });
    expect(await names()).toEqual(['checkpoint-00000001.safetensors']);
  });

  it('that are whole are not pushed out by a damaged one that claims to be later', async () => {
    const store = fileCheckpoints(directory, { keep: 1 });
    await writeFile(await store.save(checkpoint(10)), 'torn');
    const other = fileCheckpoints(join(directory, 'other'), { keep: 1 });
    await rename(await other.save(checkpoint(5)), join(directory, 'checkpoint-00000005.safetensors'));
    expect((await store.latest())!.position).toBe(5);
    const saved = await store.save(checkpoint(6));
    expect((await readdir(directory)).filter((name) => name.startsWith('checkpoint-'))).toEqual([basename(saved)]);
    expect((await store.latest())!.position).toBe(6);
  });

  it('cannot lie in a file, nor at no path', async () => {
    const file = join(directory, 'file');
    await writeFile(file, '');
    const message = expect.stringContaining(file);
    await expect(fileCheckpoints(file).latest()).rejects.toMatchObject({ name: 'RlpaError', code: 'invalid-file', message });
    await expect(fileCheckpoints(join(file, 'run')).latest()).rejects.toMatchObject({ code: 'invalid-file', message });
    await expect(fileCheckpoints(file).save(checkpoint(1))).rejects.toMatchObject({ code: 'invalid-file', message });
    expect(() => fileCheckpoints('')).toThrow(expect.objectContaining({ code: 'invalid-option' }));
  });

  it('must be at least one', () => {
    expect(() => fileCheckpoints(directory, { keep: 0 })).toThrow(expect.objectContaining({ code: 'invalid-option' }));
  });
});

describe('metrics in a file', () => {
  it('are one line of JSON for each position', async () => {
    const path = join(directory, 'metrics.jsonl');
    const log = fileMetrics(path);
    await log.append(1, { iteration: 1, reward: 0.5 });
    await log.append(2, { iteration: 2, reward: null });
    expect(await readFile(path, 'utf8')).toBe('{"iteration":1,"reward":0.5}\n{"iteration":2,"reward":null}\n');
  });

  it('are cut after a position, torn lines and what is no record included, so that a resumed run writes them again', async () => {
    const path = join(directory, 'metrics.jsonl');
    await writeFile(path, '{"step":1}\nnull\n{"step":2}\n{"step":3}\n{"ste');
    const log = fileMetrics(path);
    await log.cutAfter(2);
    await log.append(3, { step: 3 });
    expect(await readFile(path, 'utf8')).toBe('{"step":1}\n{"step":2}\n{"step":3}\n');
  });

  it('need not exist to be cut', async () => {
    await fileMetrics(join(directory, 'none.jsonl')).cutAfter(0);
    expect(await names()).toEqual([]);
  });
});
