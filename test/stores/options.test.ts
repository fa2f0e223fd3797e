import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import { fileStore, postgresStore, sqliteStore } from '../../src/node/index';

function thrownBy(call: () => unknown): unknown {
  try {
    call();
  } catch (error) {
    return error;
  }
}

describe('options', () => {
  it('are refused at the door', () => {
    expect(() => fileStore({ folder: '' })).toThrow("fileStore, option 'folder': expected the path of a folder, found ''.");
    expect(() => sqliteStore({ database: '' })).toThrow(/^sqliteStore, option 'database': .* found ''/);
    expect(() => sqliteStore({ database: {} as never })).toThrow(/'database': .* found an object/);
    expect(() => sqliteStore({ database: 'a', table: 'x; DROP TABLE y' })).toThrow(
      /^sqliteStore, option 'table': .* found 'x; DROP TABLE y'/,
    );
    expect(() => postgresStore({ database: undefined as never })).toThrow(/^postgresStore, option 'database': .* found nothing/);
    expect(() => postgresStore({ database: 'postgres://a/b', table: '"x"' })).toThrow(/^postgresStore, option 'table'/);
    expect(() => postgresStore({ database: 'postgres://a/b', timeoutMs: 0 })).toThrow(/^postgresStore, option 'timeoutMs': .* found 0/);
  });

  it.each([
    ':memory:',
    'file:profiles.db?key=SECRET',
    'sqlite:SECRET.db',
    'libsql://anna:SECRET@host/db?authToken=SECRET',
    ' libsql://anna:SECRET@host/db',
    'HTTPS://anna:SECRET@host/db',
  ])('of sqliteStore are paths, and what another place may need stays hidden: %s', (database) => {
    const failure = thrownBy(() => sqliteStore({ database }));
    expect(failure).toMatchObject({
      code: 'invalid-option',
      message: expect.stringMatching(/^sqliteStore, option 'database': .* a text\.$/),
    });
    expect(inspect(failure)).not.toContain('SECRET');
  });

  it.each([
    'junk SECRET',
    'anna:SECRET@host/db',
    'host=localhost password=SECRET',
    'https://anna:SECRET@host/db',
    'postgres://anna:SE#CRET@host/db',
    'postgres://anna:1#SECRET@host/db',
  ])('of postgresStore are connection strings that pg understands, and others stay hidden: %s', (database) => {
    const failure = thrownBy(() => postgresStore({ database }));
    const message = expect.stringMatching(/^postgresStore, option 'database': expected a connection string like .* found a text\.$/);
    expect(failure).toMatchObject({ code: 'invalid-option', message });
    expect(inspect(failure)).not.toMatch(/SE#?CRET/);
  });

  it.each([
    ['postgres://anna:SECRET@host:5433/db', 'PostgreSQL at host:5433/db'],
    ['PostgreSQL://host/db?password=SECRET', 'PostgreSQL at host/db'],
    ['pg://anna:SECRET@host/db', 'PostgreSQL at host/db'],
    ['postgres://anna:SECRET@/db?host=/var/run/postgresql', 'PostgreSQL at /var/run/postgresql/db'],
    ['postgres:///db', 'PostgreSQL at localhost/db'],
    ['socket://anna:SECRET@/var/run/postgresql?db=profiles', 'PostgreSQL at localhost/var/run/postgresql'],
    ['/var/run/postgresql SECRET', 'PostgreSQL at /var/run/postgresql'],
    ['postgres://anna:12/SECRET@host/db', 'PostgreSQL'],
    ['postgres://anna:12?SECRET@host/db', 'PostgreSQL'],
  ])('of postgresStore may be %s, of which errors say the place alone', async (database, place) => {
    const store = postgresStore({ database });
    await store.close();
    const failure = { code: 'store-failed', message: `${place}: the store is closed.` };
    await expect(store.load('anna')).rejects.toMatchObject(failure);
  });

  it('of sqliteStore may be paths of any system', () => {
    for (const database of ['C:\\profiles.db', 'c:/profiles.db', './sqlite:profiles.db', '/profiles:1.db', 'profiles.db'])
      expect(() => sqliteStore({ database })).not.toThrow();
  });
});
