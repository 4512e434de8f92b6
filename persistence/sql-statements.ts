import type { RecordId } from '../framework/storage/grain-store.ts';
import type { SqlStatement } from './sql-database.ts';
import { quoted } from './sql-schema.ts';

/**
 * The four statements, each for many records at once: arrays in, and out the positions `n` in the arrays,
 * from 1, of the records that it succeeded for. A read returns a row for each; the others one row for all,
 * with lists (an insert lists more: see there), which costs both ends less than a row each.
 *
 * **Data** travels as one byte string with each record's offset and length. An array of `bytea` would be sent
 * as hexadecimal text, twice the size; this is binary as it is.
 *
 * **Etags.** A row that another transaction changed after this statement's snapshot is read again once its
 * lock is had (READ COMMITTED), with the etag compared again. So of several silos that write one record with
 * one etag, one wins. The same record may be in one statement twice: both have an etag from before the
 * statement, so at most one can be right, and of two that are, PostgreSQL applies one (`UPDATE … FROM` uses
 * one of several matching rows, `DO NOTHING` counts its own rows).
 *
 * **No deadlocks.** The arrays come sorted by record, rows are locked in that order before any is changed,
 * and inserts happen in that order. That orders updates and clears among themselves, and inserts among
 * themselves. Inserts wait for updates and clears (of a row that they collide with), but never the other way
 * round, as an uncommitted row is invisible. This is why updates and inserts are two statements, in two
 * transactions.
 */
export interface SqlStatements {
  readonly read: SqlStatement;
  readonly insert: SqlStatement;
  readonly update: SqlStatement;
  readonly clear: SqlStatement;
}

const LISTED = `string_agg(n::text, ' ') AS n, string_agg(etag::text, ' ') AS etags`;
const SAME_RECORD = 'r.type = i.type AND r.key = i.key AND r.name = i.name';

export function sqlStatements(schema: string): SqlStatements {
  const records = `${quoted(schema)}.records`;
  const newEtag = `nextval('${quoted(schema)}.etags')`;
  return {
    read: {
      name: 'granary_read',
      text: `SELECT i.n::int AS n, r.etag::text AS etag, r.data
        FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY AS i (type, key, name, n)
        JOIN ${records} r ON ${SAME_RECORD}`,
    },
    // An insert can return only what is in the table, and a text does not come back from every driver as it
    // went (PGlite drops a byte order mark). So all etags come, with their positions, and beside them those
    // that were inserted. Joining the two here would compare each with each.
    insert: {
      name: 'granary_insert',
      text: `WITH fresh AS MATERIALIZED (
          SELECT i.*, ${newEtag} AS etag
          FROM unnest($1::text[], $2::text[], $3::text[], $5::int[], $6::int[])
            WITH ORDINALITY AS i (type, key, name, start, length, n)),
        inserted AS (
          INSERT INTO ${records} AS r (type, key, name, data, etag)
          SELECT type, key, name, substring($4::bytea FROM start FOR length), etag FROM fresh ORDER BY n
          ON CONFLICT (type, key, name) DO NOTHING
          RETURNING r.etag)
        SELECT ${LISTED}, (SELECT string_agg(etag::text, ' ') FROM inserted) AS inserted FROM fresh`,
    },
    update: {
      name: 'granary_update',
      text: `WITH locked AS MATERIALIZED (
          SELECT i.n, i.start, i.length, r.ctid AS place
          FROM unnest($1::text[], $2::text[], $3::text[], $5::int[], $6::int[], $7::bigint[])
            WITH ORDINALITY AS i (type, key, name, start, length, etag, n)
          JOIN ${records} r ON ${SAME_RECORD} AND r.etag = i.etag
          ORDER BY i.n FOR NO KEY UPDATE OF r),
        updated AS (
          UPDATE ${records} r
          SET data = substring($4::bytea FROM locked.start FOR locked.length), etag = ${newEtag},
            updated_at = now()
          FROM locked WHERE r.ctid = locked.place
          RETURNING locked.n, r.etag)
        SELECT ${LISTED} FROM updated`,
    },
    clear: {
      name: 'granary_clear',
      text: `WITH locked AS MATERIALIZED (
          SELECT i.n, r.ctid AS place
          FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[])
            WITH ORDINALITY AS i (type, key, name, etag, n)
          JOIN ${records} r ON ${SAME_RECORD} AND r.etag = i.etag
          ORDER BY i.n FOR UPDATE OF r),
        cleared AS (
          DELETE FROM ${records} r USING locked WHERE r.ctid = locked.place
          RETURNING locked.n, r.etag)
        SELECT ${LISTED} FROM cleared`,
    },
  };
}

/**
 * Every statement finds its rows by primary key. The planner would scan a table that is small, or that was
 * small when it last looked, and that plan would stay while the table grows; it would make a new plan for
 * each array length, which takes longer than to run it; and compile it (jit), which takes longer still.
 */
export const SESSION_SETTINGS =
  'SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off; SET jit = off; ' +
  'SET plan_cache_mode = force_generic_plan; ' +
  "SET default_transaction_isolation = 'read committed'";

/** Parameters 1 to 3 of every statement. */
export function namesOf(ids: readonly RecordId[]): [string[], string[], string[]] {
  return [ids.map((id) => id.type), ids.map((id) => id.key), ids.map((id) => id.name)];
}

/** Parameters 4 to 6 of a write: all data in one, and where each record's is. SQL counts bytes from 1. */
export function packed(data: readonly Uint8Array[]): [Buffer, number[], number[]] {
  let end = 1;
  const starts = data.map((bytes) => {
    const start = end;
    end += bytes.byteLength;
    return start;
  });
  return [Buffer.concat(data), starts, data.map((bytes) => bytes.byteLength)];
}
