import { expect, it } from 'vitest';
import { FrozenWeights } from '../../src/policy/frozen-weights';

const ramp = (length: number, from = 0) => Float32Array.from({ length }, (_, i) => from + i / length);
function checksum(...tensors: [name: string, data: Float32Array][]): number | undefined {
  const weights = new FrozenWeights();
  for (const [name, data] of tensors) weights.see(name, data);
  return weights.checksum;
}

it('frozen weights have the same checksum in whatever order their tensors come', () => {
  expect(checksum(['a', ramp(4096)], ['b', ramp(7)])).toBe(checksum(['b', ramp(7)], ['a', ramp(4096)]));
});

it('frozen weights are told from others, also where only signs or the halves of bfloat16 differ', () => {
  const half = (bits: number) => new Float32Array(Uint32Array.of(bits << 16).buffer);
  const different = [
    checksum(['a', ramp(4096)]),
    checksum(['a', ramp(4096, 1)]),
    checksum(['a', ramp(4096).map((value) => -value)]),
    checksum(['a', ramp(4096)], ['b', ramp(7)]),
    checksum(['a', ramp(7)], ['b', ramp(4096)]),
    ...[0x3f80, 0x3f81, 0x3f82, 0x4f80].map((bits) => checksum(['a', half(bits)])),
  ];
  expect(new Set(different).size).toBe(different.length);
});

it('frozen weights are what was last said of them, and none have no checksum', () => {
  expect(checksum(['a', ramp(9, 3)], ['a', ramp(9)])).toBe(checksum(['a', ramp(9)]));
  expect(checksum()).toBeUndefined();
});
