import type pg from 'pg';
import type { Observation } from '../../framework/testing/invariants/observation.ts';
import { machineNow } from '../support/machine-clock.ts';
import type { PostgresServer } from '../support/postgres.ts';

/**
 * What a database did to the records of its silos, written down by itself: within the transaction of each
 * write, and so also when the silo did not live to hear of it.
 */
export class WriteLog {
  readonly #postgres: PostgresServer;
  readonly #database: string;

  private constructor(postgres: PostgresServer, database: string) {
    this.#postgres = postgres;
    this.#database = database;
  }

  /** Begins to write: the tables must be there, and no record yet. The server needs `SETTINGS`. */
  static async begin(postgres: PostgresServer, database: string): Promise<WriteLog> {
    await postgres.session(database, (client) => client.query(TRIGGER));
    return new WriteLog(postgres, database);
  }

  /** All writes, with the times of their commits on the machine's clock. */
  read(): Promise<Observation[]> {
    return this.#postgres.session(this.#database, async (client) => {
      const offset = await clockOffset(client);
      const { rows } = await client.query<Row>(
        `SELECT grain, record, before, etag, ${millis('pg_xact_commit_timestamp(xmin)')} AS ms
         FROM write_log ORDER BY number`,
      );
      return rows.map(({ grain, record, before, etag, ms }) => ({
        at: Number(ms) + offset,
        node: '',
        event: {
          ...{ type: 'recordApplied', grain, record },
          ...{ before: before ?? undefined, etag: etag ?? undefined },
        },
      }));
    });
  }
}

/** From the database's clock to the machine's, in milliseconds, by the quickest of a few questions. */
async function clockOffset(client: pg.Client): Promise<number> {
  let [offset, quickest] = [0, Number.POSITIVE_INFINITY];
  for (let question = 0; question < 10; question++) {
    const asked = machineNow();
    const { rows } = await client.query<{ ms: string }>(`SELECT ${millis('clock_timestamp()')} AS ms`);
    const tookMs = machineNow() - asked;
    if (tookMs >= quickest) continue;
    quickest = tookMs;
    offset = asked + tookMs / 2 - Number(rows[0]?.ms);
  }
  return offset;
}

/** Commits leave their time. */
export const SETTINGS = { track_commit_timestamp: 'on' };

interface Row {
  readonly grain: string;
  readonly record: string;
  readonly before: string | null;
  readonly etag: string | null;
  readonly ms: string;
}

const TRIGGER = `
  CREATE TABLE write_log (
    number bigserial PRIMARY KEY, grain text NOT NULL, record text NOT NULL, before text, etag text);
  CREATE FUNCTION log_write() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO write_log (grain, record, before, etag) VALUES (
      COALESCE(NEW.type, OLD.type) || '/' || COALESCE(NEW.key, OLD.key),
      COALESCE(NEW.name, OLD.name), OLD.etag::text, NEW.etag::text);
    RETURN NULL;
  END $$;
  CREATE TRIGGER log_write AFTER INSERT OR UPDATE OR DELETE ON granary.records
    FOR EACH ROW EXECUTE FUNCTION log_write()`;

/** Of the Unix epoch, with the microseconds. */
function millis(timestamp: string): string {
  return `(extract(epoch FROM ${timestamp})::numeric * 1000)::text`;
}
