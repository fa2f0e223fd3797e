/**
 * Takes the picture of the training page in docs/examples.md, with a run at the micro size on a GPU made of software:
 *
 *   npx tsx test/browser/training-screenshot.ts docs/images/browser-training.png
 */
import { launchChromium } from './chromium';
import { serveTrainingPage } from './training-page';

const [path = 'browser-training.png', colorScheme = 'light', width = '1040'] = process.argv.slice(2);
const site = await serveTrainingPage();
const browser = await launchChromium({ webgpu: true });
try {
  const page = await browser.newPage({ viewport: { width: Number(width), height: 800 }, colorScheme: colorScheme as 'light' | 'dark' });
  await page.goto(site.url);
  await page.getByRole('button', { name: 'Start' }).click();
  await page.getByText('Done.', { exact: true }).waitFor({ timeout: 600_000 });
  for (const message of ['I work as a nurse.', 'I live in London.', 'I really like jazz.']) {
    await page.getByLabel('Message', { exact: true }).fill(message);
    await page.keyboard.press('Enter');
    await page.getByRole('button', { name: 'Send' }).waitFor();
    await page.waitForFunction(() => document.getElementById('answer-status')?.textContent !== '');
  }
  await page.screenshot({ path, fullPage: true, animations: 'disabled' });
} finally {
  await browser.close();
  site.stop();
}
