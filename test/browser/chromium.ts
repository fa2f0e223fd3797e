import { existsSync } from 'node:fs';
import { type Browser, chromium } from 'playwright-core';
import { describe, it } from 'vitest';

const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium';

/** WebGPU on SwiftShader, which computes on the processor. Not clearing workgroup memory makes its shaders compile ten times as fast. */
const softwareGpu = [
  '--enable-unsafe-webgpu',
  '--use-webgpu-adapter=swiftshader',
  '--enable-features=Vulkan',
  '--enable-dawn-features=disable_workgroup_init',
];

/** A headless Chromium of the system's, by default without a GPU of any kind. */
export function launchChromium({ webgpu = false }: { readonly webgpu?: boolean } = {}): Promise<Browser> {
  return chromium.launch({ executablePath, args: ['--no-sandbox', ...(webgpu ? softwareGpu : ['--disable-gpu'])] });
}

/** A suite in a browser. Without one it is skipped, and says why; where CI promises one, it runs and fails. */
export function describeInChromium(name: string, suite: () => void): void {
  if (existsSync(executablePath) || process.env.CI === 'true') describe(name, suite);
  else describe.skip(name, () => it(`(skipped: there is no ${executablePath}; apt-get install chromium, or set CHROMIUM)`, () => {}));
}
