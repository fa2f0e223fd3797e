import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const root = join(dirname(fileURLToPath(import.meta.url)), '../..');
const types: Readonly<Record<string, string>> = { '.html': 'text/html', '.css': 'text/css', '.js': 'text/javascript' };

export interface StaticPage {
  readonly url: string;
  stop(): void;
}

/** Builds examples/browser-training as its reader would, and serves the files and nothing else. */
export async function serveTrainingPage(): Promise<StaticPage> {
  const folder = mkdtempSync(join(tmpdir(), 'rlpa-training-'));
  await promisify(execFile)(process.execPath, ['--import', 'tsx', 'examples/browser-training/build.ts', folder], { cwd: root });
  const server = createServer(async ({ url = '/' }, response) => {
    const file = url === '/' ? '/index.html' : url;
    try {
      const content = await readFile(join(folder, file));
      response.writeHead(200, { 'content-type': types[extname(file)] ?? 'application/octet-stream' });
      response.end(content);
    } catch {
      response.writeHead(404).end();
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    stop() {
      server.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
