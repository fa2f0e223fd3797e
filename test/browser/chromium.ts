import { existsSync } from 'node:fs';
import { type Browser, chromium } from 'playwright-core';
import { describe, it } from 'vitest';

const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium';

/** A headless Chromium of the system's. */
export function launchChromium(): Promise<Browser> {
  return chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu'] });
}

/** A suite in a browser. Without one it is skipped, and says why; where CI promises one, it runs and fails. */
export function describeInChromium(name: string, suite: () => void): void {
  if (existsSync(executablePath) || process.env.CI === 'true') describe(name, suite);
  else describe.skip(name, () => it(`(skipped: there is no ${executablePath}; apt-get install chromium, or set CHROMIUM)`, () => {}));
}
