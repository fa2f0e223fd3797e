/**
 * Takes the picture of docs/examples.md, with a policy that was really trained:
 *
 *   RLPA_POLICY=runs/tiny/policy npx tsx test/browser/screenshot.ts docs/images/web-example.png
 */
import { serveExample } from '../examples/run-example';
import { launchChromium } from './chromium';

const [path = 'web-example.png', colorScheme = 'light', width = '1040', height = '640'] = process.argv.slice(2);
const server = await serveExample('examples/web/server.ts', { RLPA_POLICY: process.env.RLPA_POLICY });
const browser = await launchChromium();
try {
  const page = await browser.newPage({
    viewport: { width: Number(width), height: Number(height) },
    colorScheme: colorScheme as 'light' | 'dark',
  });
  await page.goto(server.url);
  for (const message of ['Hello', "I'm single at the moment.", 'I really like jazz.', 'I work as a nurse.', 'I live in London.']) {
    await page.getByLabel('Message', { exact: true }).fill(message);
    await page.keyboard.press('Enter');
    await page.getByRole('button', { name: 'Send' }).waitFor();
    await page.getByText(/tokens in/).waitFor();
  }
  await page.screenshot({ path, animations: 'disabled' });
} finally {
  await browser.close();
  await server.stop();
}
