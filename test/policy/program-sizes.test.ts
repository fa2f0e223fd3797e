import { describe, expect, it } from 'vitest';
import { chunkLength, rowBucket, rowParts } from '../../src/policy/program-sizes';

describe('the chunks that a prompt is fed in', () => {
  const chunksOf = (tokens: number, longest?: number) => {
    const chunks: number[] = [];
    for (let left = tokens; left > 0; left -= chunks.at(-1)!) chunks.push(chunkLength(left, longest));
    return chunks;
  };

  it('are no longer than the longest, and few where that is long', () => {
    expect(chunksOf(391)).toEqual([256, 128, 8]);
    expect(chunksOf(391, 512)).toEqual([384, 8]);
    expect(chunksOf(391, 341)).toEqual([256, 128, 8]);
    expect(chunksOf(1500, 512)).toEqual([512, 512, 512]);
  });

  it.each([256, 384, 512])(
    'of up to %d tokens hold the prompt with less than eight tokens or a third to spare, however long it is',
    (longest) => {
      for (let tokens = 9; tokens <= 2000; tokens++) {
        const room = chunksOf(tokens, longest).reduce((sum, length) => sum + length, 0);
        expect(room).toBeGreaterThanOrEqual(tokens);
        expect(room - tokens).toBeLessThan(Math.max(8, tokens / 3));
      }
    },
  );
});

describe('the programs that newcomers are computed by', () => {
  it('are two where one would compute an eighth in vain', () => {
    expect([8, 9, 11, 17, 21, 22, 26, 30, 32].map((rows) => rowParts(rows))).toEqual([
      [8],
      [8, 1],
      [11],
      [16, 1],
      [16, 5],
      [22],
      [24, 2],
      [30],
      [32],
    ]);
  });

  it('compute all of them, and no more rows than one program would', () => {
    for (let rows = 1; rows <= 32; rows++) {
      const parts = rowParts(rows);
      expect(parts.reduce((sum, part) => sum + part, 0)).toBe(rows);
      expect(parts.reduce((sum, part) => sum + rowBucket(part), 0)).toBeLessThanOrEqual(rowBucket(rows));
    }
  });
});
