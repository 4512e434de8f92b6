import { InvalidConfigError } from '../framework/errors.ts';
import type { GrainStore } from '../framework/storage/grain-store.ts';
import type { ReminderStore } from '../framework/storage/reminder-store.ts';
import { PostgresDatabase } from './postgres-database.ts';
import { checkSchema } from './sql-schema.ts';
import { SqlStore } from './sql-store.ts';
import { checkNames, wholeNumber } from './store-options.ts';

export { type PGliteOptions, pglite } from './pglite.ts';

export interface PostgresOptions {
  /** `postgres://user:password@host:port/database`, with `?sslmode=` and the like as `pg` takes them. */
  readonly url: string;
  /** Connections of this process; 4 by default. Concurrent writes share statements, so a few carry a lot. */
  readonly poolSize?: number;
  /** The schema that holds Granary's tables, made when it is missing; `granary` by default. */
  readonly schema?: string;
  /** How long one statement may take, and wait to be sent; 5,000 ms by default. */
  readonly statementTimeoutMs?: number;
  /** How long connecting may take; 5,000 ms by default. */
  readonly connectTimeoutMs?: number;
}

/**
 * A store in PostgreSQL 12 or newer. Silos of one cluster give it the same database. Throws
 * `InvalidConfigError` for a wrong option; opening it rejects with `InvalidConfigError` (who or which
 * database) or `StoreError` (not reachable).
 */
export function postgres(options: PostgresOptions): GrainStore & ReminderStore {
  checkNames('postgres', options, ['url', 'poolSize', 'schema', 'statementTimeoutMs', 'connectTimeoutMs']);
  const statementTimeoutMs = wholeNumber(
    'postgres',
    'statementTimeoutMs',
    options.statementTimeoutMs ?? 5_000,
    100,
    600_000,
  );
  const database = {
    url: checkUrl(options.url),
    poolSize: wholeNumber('postgres', 'poolSize', options.poolSize ?? 4, 1, 100),
    statementTimeoutMs,
    connectTimeoutMs: wholeNumber(
      'postgres',
      'connectTimeoutMs',
      options.connectTimeoutMs ?? 5_000,
      100,
      600_000,
    ),
  };
  const schema = checkSchema('postgres', options.schema ?? 'granary');
  return new SqlStore(() => new PostgresDatabase(database), { schema, waitMs: statementTimeoutMs });
}

/** The message does not repeat the url: it holds a password. */
function checkUrl(url: unknown): string {
  if (typeof url === 'string' && URL.canParse(url) && /^postgres(ql)?:$/.test(new URL(url).protocol))
    return url;
  throw new InvalidConfigError(
    `postgres: url must be a text like 'postgres://user:password@host:5432/database'`,
  );
}
