import { execFile, execFileSync } from 'node:child_process';
import { chownSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, it } from 'vitest';

const run = promisify(execFile);

export interface PostgresServer {
  /** Connects as the superuser of the database `postgres`, by a socket in the server's own folder. */
  readonly url: string;
  /** Where the server keeps its files. */
  readonly data: string;
  start(): Promise<void>;
  /** `immediate` is what a crash is: nothing is written before the end. */
  stop(mode: 'fast' | 'immediate'): Promise<void>;
  /** What pg_dump writes of the whole database. */
  dump(): Promise<string>;
  /** Stops the server and deletes its files. */
  remove(): Promise<void>;
}

/** The folder of PostgreSQL's programs: Debian keeps it out of PATH. */
function programs(): string | undefined {
  const debian = '/usr/lib/postgresql';
  const versions = existsSync(debian) ? readdirSync(debian).sort((a, b) => Number(b) - Number(a)) : [];
  return [...versions.map((version) => join(debian, version, 'bin')), ...(process.env.PATH ?? '').split(':')].find((folder) =>
    existsSync(join(folder, 'initdb')),
  );
}

/** A suite over a PostgreSQL server. Without one it is skipped, and says why; where CI promises it, it runs and fails. */
export function describeWithPostgres(name: string, suite: () => void): void {
  if (programs() || process.env.CI === 'true') describe(name, suite);
  else describe.skip(name, () => it('(skipped: there is no initdb; install PostgreSQL, on Debian `apt-get install postgresql`)', () => {}));
}

/** Makes a server of its own in a temporary folder, and starts it. */
export async function startPostgres(): Promise<PostgresServer> {
  const bin = programs();
  if (!bin) throw new Error('PostgreSQL is not installed: there is no initdb.');
  const folder = mkdtempSync(join(tmpdir(), 'rlpa-pg-'));
  // PostgreSQL refuses to run as root; Debian's package makes a user for it.
  const owner = process.getuid?.() === 0 ? idsOf('postgres') : undefined;
  if (owner) chownSync(folder, owner.uid, owner.gid);
  const call = (program: string, ...args: string[]) => run(join(bin, program), args, { cwd: folder, maxBuffer: 2 ** 28, ...owner });

  const data = join(folder, 'data');
  const log = join(folder, 'log');
  const server: PostgresServer = {
    url: `postgres:///postgres?user=postgres&host=${encodeURIComponent(folder)}`,
    data,
    async start() {
      const options = `-c listen_addresses='' -c unix_socket_directories='${folder}'`;
      await call('pg_ctl', 'start', '--wait', '--silent', `--pgdata=${data}`, `--log=${log}`, `--options=${options}`);
    },
    stop: async (mode) => void (await call('pg_ctl', 'stop', '--wait', '--silent', `--pgdata=${data}`, `--mode=${mode}`)),
    dump: async () => (await call('pg_dump', `--dbname=${server.url}`)).stdout,
    async remove() {
      await server.stop('immediate').catch(() => {});
      rmSync(folder, { recursive: true, force: true });
    },
  };
  await call('initdb', '--no-sync', '--username=postgres', '--auth=trust', '--encoding=UTF8', '--locale=C', `--pgdata=${data}`);
  await server.start();
  return server;
}

function idsOf(user: string): { uid: number; gid: number } {
  const id = (option: string) => Number(execFileSync('id', [option, user], { encoding: 'utf8' }));
  return { uid: id('-u'), gid: id('-g') };
}
