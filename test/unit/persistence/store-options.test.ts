import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { DirectoryLock } from '../../../persistence/directory-lock.ts';
import { type PGliteOptions, type PostgresOptions, pglite, postgres } from '../../../persistence/postgres.ts';

const url = 'postgres://user:secret@host/database';

describe('the options of postgres()', () => {
  test.each<[string, unknown]>([
    ['url', {}],
    ['url', { url: 'mysql://user:secret@host/database' }],
    ['url', { url: 42 }],
    ['poolSize', { url, poolSize: 0 }],
    ['poolSize', { url, poolSize: 2.5 }],
    ['poolSize', { url, poolSize: '4' }],
    ['statementTimeoutMs', { url, statementTimeoutMs: Number.NaN }],
    ['connectTimeoutMs', { url, connectTimeoutMs: Number.POSITIVE_INFINITY }],
    ['schema', { url, schema: 'drop table; --' }],
    ['schema', { url, schema: '' }],
    ["'poolsize'", { url, poolsize: 4 }],
    ['options', undefined],
  ])('a wrong %s is refused by name, without showing the password', (option, options) => {
    const make = () => postgres(options as PostgresOptions);
    expect(make).toThrow(
      expect.objectContaining({ code: 'INVALID_CONFIG', message: expect.stringContaining(option) }),
    );
    expect(make).not.toThrow(/secret/);
  });

  test('what is left out has a default', () => {
    expect(() => postgres({ url })).not.toThrow();
    expect(() => postgres({ url: 'postgresql:///database', schema: 'my_schema', poolSize: 1 })).not.toThrow();
  });
});

describe('the directory of pglite()', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'granary-'));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  test.each<unknown>([{ directory: '' }, { directory: 7 }, { folder: 'x' }, null])(
    '%j is refused',
    (options) => {
      expect(() => pglite(options as PGliteOptions)).toThrow(
        expect.objectContaining({ code: 'INVALID_CONFIG' }),
      );
    },
  );

  test('is refused to a second store, and free again after the first', async () => {
    const directory = join(folder, 'data');
    const lock = await DirectoryLock.take(directory);
    await expect(pglite({ directory }).open()).rejects.toMatchObject({
      code: 'INVALID_CONFIG',
      message: expect.stringContaining('open in another store of this process'),
    });
    await lock.release();
    await (await DirectoryLock.take(directory)).release();
    expect(existsSync(`${directory}.lock`)).toBe(false);
  });

  test('is refused while the process that locked it lives, and free when that is gone', async () => {
    const directory = join(folder, 'data');
    writeFileSync(`${directory}.lock`, String(process.ppid));
    await expect(DirectoryLock.take(directory)).rejects.toThrow(`open in process ${process.ppid}`);
    for (const gone of ['999999999', String(process.pid), '', 'garbage']) {
      writeFileSync(`${directory}.lock`, gone);
      await (await DirectoryLock.take(directory)).release();
    }
  });
});
