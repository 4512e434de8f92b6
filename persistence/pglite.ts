import { InvalidConfigError } from '../framework/errors.ts';
import type { GrainStore } from '../framework/storage/grain-store.ts';
import type { ReminderStore } from '../framework/storage/reminder-store.ts';
import { PGliteDatabase } from './pglite-database.ts';
import { SqlStore } from './sql-store.ts';
import { checkNames } from './store-options.ts';

export interface PGliteOptions {
  /**
   * Where the data is kept; without it, in memory, until the store is closed. One process may have it open at
   * a time.
   */
  readonly directory?: string;
}

/**
 * A PostgreSQL inside this process, from the optional package `@electric-sql/pglite`: durable state for one
 * process, with nothing to run beside it. Opening it rejects with `InvalidConfigError` when the package is
 * missing, or another process has the directory open.
 */
export function pglite(options: PGliteOptions = {}): GrainStore & ReminderStore {
  checkNames('pglite', options, ['directory']);
  const { directory } = options;
  if (directory !== undefined && (typeof directory !== 'string' || directory === '')) {
    throw new InvalidConfigError(
      `pglite: directory is ${String(directory) || 'empty'}; it must be a path, or be left out`,
    );
  }
  return new SqlStore(() => new PGliteDatabase(directory), { schema: 'granary', waitMs: 10_000 });
}
