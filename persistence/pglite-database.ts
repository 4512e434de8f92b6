import { resolve } from 'node:path';
import type { PGlite } from '@electric-sql/pglite';
import { InvalidConfigError, StoreError } from '../framework/errors.ts';
import { DirectoryLock } from './directory-lock.ts';
import type { SqlDatabase, SqlQuery, SqlRow } from './sql-database.ts';
import { SESSION_SETTINGS } from './sql-statements.ts';

/** PostgreSQL compiled to WebAssembly, in this process: one connection, in memory or in a directory. */
export class PGliteDatabase implements SqlDatabase {
  readonly label: string;
  // One connection: a second statement would only wait inside PGlite, where the batch could not grow any
  // more.
  readonly concurrency = 1;
  readonly #directory: string | undefined;
  #lock: DirectoryLock | undefined;
  #database: PGlite | undefined;

  constructor(directory: string | undefined) {
    this.#directory = directory === undefined ? undefined : resolve(directory);
    this.label = `PGlite ${directory === undefined ? 'in memory' : `in ${directory}`}`;
  }

  async open(): Promise<void> {
    const { PGlite } = await load();
    if (this.#directory !== undefined) this.#lock = await DirectoryLock.take(this.#directory);
    try {
      const database = await PGlite.create(this.#directory ?? 'memory://');
      this.#database = database;
      await database.exec(SESSION_SETTINGS);
    } catch (error) {
      await this.close();
      throw new StoreError(
        `${this.label} cannot be opened: ${(error as Error).message}; check the directory`,
        { cause: error },
      );
    }
  }

  query: SqlQuery = async ({ text }, params = []) => {
    const { rows } = await this.#opened().query<SqlRow>(text, [...params]);
    return rows;
  };

  transaction<T>(work: (query: SqlQuery) => Promise<T>): Promise<T> {
    return this.#opened().transaction((transaction) =>
      work(async ({ text }, params = []) => (await transaction.query<SqlRow>(text, [...params])).rows),
    );
  }

  async close(): Promise<void> {
    await this.#database?.close();
    await this.#lock?.release();
    this.#database = undefined;
    this.#lock = undefined;
  }

  #opened(): PGlite {
    if (this.#database) return this.#database;
    throw new Error('PGlite is closed');
  }
}

async function load(): Promise<typeof import('@electric-sql/pglite')> {
  try {
    return await import('@electric-sql/pglite');
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw cause;
    throw new InvalidConfigError(
      'pglite: its package is not installed; run: npm install @electric-sql/pglite',
      { cause },
    );
  }
}
