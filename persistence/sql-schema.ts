import { InvalidConfigError } from '../framework/errors.ts';
import type { SqlDatabase, SqlQuery } from './sql-database.ts';

/**
 * The schema's history: number n is the n-th entry, and what has been released is never edited. A silo of an
 * older version refuses a newer database, so in a rolling deploy the silos that run keep running but the old
 * version cannot start again.
 *
 * The primary key takes the longest names there are (a type and a record name of 128 characters, a key of 512
 * bytes escaped to 1,536) within the 2,704 bytes of an index entry. Collation "C" compares bytes: no locale,
 * and no index that breaks when one changes. Free space on each page keeps a changed row beside its old
 * version, so that the index is not touched (a HOT update).
 *
 * Reminders are read in the order in which they wake, by every silo that owns some of them; which ones,
 * `hash` tells. A registration is unique, so it makes the order total, and its index entries short.
 */
const MIGRATIONS: readonly ((schema: string) => string[])[] = [
  (schema) => [
    `CREATE SEQUENCE ${schema}.etags AS bigint`,
    `CREATE TABLE ${schema}.records (
       type text COLLATE "C" NOT NULL,
       key text COLLATE "C" NOT NULL,
       name text COLLATE "C" NOT NULL,
       data bytea NOT NULL,
       etag bigint NOT NULL,
       updated_at timestamptz NOT NULL DEFAULT now(),
       PRIMARY KEY (type, key, name)
     ) WITH (fillfactor = 80)`,
  ],
  (schema) => [
    `CREATE TABLE ${schema}.reminders (
       type text COLLATE "C" NOT NULL,
       key text COLLATE "C" NOT NULL,
       name text COLLATE "C" NOT NULL,
       hash integer NOT NULL,
       registration text COLLATE "C" NOT NULL,
       due_at bigint NOT NULL,
       wake_at bigint NOT NULL,
       failures integer NOT NULL,
       schedule text NOT NULL,
       PRIMARY KEY (type, key, name)
     )`,
    `CREATE INDEX reminders_waking ON ${schema}.reminders (wake_at, registration)`,
  ],
];

/** A schema's name as it stands in SQL. Only what needs no escaping is allowed: see `checkSchema`. */
export function quoted(schema: string): string {
  return `"${schema}"`;
}

/** Throws `InvalidConfigError` unless it can name a schema. */
export function checkSchema(store: string, schema: unknown): string {
  if (typeof schema === 'string' && /^[a-z_][a-z0-9_]{0,62}$/.test(schema)) return schema;
  throw new InvalidConfigError(
    `${store}: schema is ${JSON.stringify(schema)}; ` +
      "it must be 1 to 63 lower-case letters, digits and '_', not starting with a digit",
  );
}

/**
 * Brings the schema up to date. Silos that start at once take turns under an advisory lock; the later ones
 * find nothing to do.
 */
export async function migrate(database: SqlDatabase, name: string): Promise<void> {
  await database.transaction(async (query) => {
    await query({ text: `SELECT pg_advisory_xact_lock(hashtext('granary migrations'), hashtext($1))` }, [
      name,
    ]);
    const schema = quoted(name);
    const version = await versionOf(query, database.label, name);
    // Only now: a silo whose role may make nothing can start on a schema that somebody else prepared.
    if (version === 0) {
      await query({ text: `CREATE SCHEMA IF NOT EXISTS ${schema}` });
      await query({
        text: `CREATE TABLE IF NOT EXISTS ${schema}.migrations
               (version integer PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())`,
      });
    }
    for (let next = version; next < MIGRATIONS.length; next++) {
      for (const text of MIGRATIONS[next]?.(schema) ?? []) await query({ text });
      await query({ text: `INSERT INTO ${schema}.migrations (version) VALUES ($1)` }, [next + 1]);
    }
  });
}

/**
 * Reads the catalog itself: `to_regclass` answers from a cache, which right after the wait for the lock is
 * still the old one.
 */
const MIGRATIONS_TABLE = `SELECT c.relname::text AS found
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace s ON s.oid = c.relnamespace
  WHERE s.nspname = $1::text AND c.relname = 'migrations'`;

async function versionOf(query: SqlQuery, label: string, name: string): Promise<number> {
  const [found] = await query({ text: MIGRATIONS_TABLE }, [name]);
  if (!found) return 0;
  const [row] = await query({
    text: `SELECT coalesce(max(version), 0) AS version FROM ${quoted(name)}.migrations`,
  });
  const version = Number(row?.version);
  if (version <= MIGRATIONS.length) return version;
  throw new InvalidConfigError(
    `${label}: schema '${name}' has version ${version}, this Granary knows ${MIGRATIONS.length}; ` +
      `a newer Granary has migrated it: upgrade this process, or give it a schema of its own`,
  );
}
