import {
  InvalidConfigError,
  InvalidKeyError,
  PayloadTooLargeError,
  StoreError,
} from '../framework/errors.ts';
import type { GrainStore, RecordId, StoredRecord } from '../framework/storage/grain-store.ts';
import type {
  NextTick,
  ReminderId,
  ReminderStore,
  StoredReminder,
  TickOf,
  WakingQuery,
} from '../framework/storage/reminder-store.ts';
import { BATCH_LIMITS, GroupCommit, type Operation, StatementSlots } from './group-commit.ts';
import { conflictOn, grainOf } from './record.ts';
import type { SqlDatabase, SqlRow } from './sql-database.ts';
import { SqlReminders } from './sql-reminders.ts';
import { migrate } from './sql-schema.ts';
import { namesOf, packed, sqlStatements } from './sql-statements.ts';

/** What one record may be. */
export const RECORD_LIMITS = Object.freeze({
  /**
   * Bytes of data. PostgreSQL takes 1 GB, but reads and writes a record whole: more than this belongs
   * elsewhere.
   */
  dataBytes: 64 * 1024 * 1024,
  /**
   * UTF-8 bytes of type, key and record name together: what fits an index entry (2,704), with room for its
   * header.
   */
  nameBytes: 2_600,
});

interface Write extends Operation {
  readonly data: Uint8Array;
}

interface Clear extends Operation {
  readonly etag: string;
}

type Update = Write & Clear;

export interface SqlStoreOptions {
  readonly schema: string;
  /** How long an operation may wait for its statement to be sent. */
  readonly waitMs: number;
}

/** Makes a database that is not open yet: one for each time that the store is opened anew. */
export type SqlDatabaseFactory = () => SqlDatabase;

/** Everything that lives from `open` to `close`. */
interface Session {
  readonly database: SqlDatabase;
  readonly reads: GroupCommit<Operation, StoredRecord | undefined>;
  readonly inserts: GroupCommit<Write, string>;
  readonly updates: GroupCommit<Update, string>;
  readonly clears: GroupCommit<Clear, void>;
  readonly reminders: SqlReminders;
}

/**
 * Records in one table of a PostgreSQL. An etag is a number from a sequence, which never gives the same one
 * twice.
 */
export class SqlStore implements GrainStore, ReminderStore {
  readonly #makeDatabase: SqlDatabaseFactory;
  readonly #options: SqlStoreOptions;
  #users = 0;
  #session: Session | undefined;
  // Opening and closing take turns: whoever opens while the last one closes gets a new session.
  #turn: Promise<unknown> = Promise.resolve();

  constructor(makeDatabase: SqlDatabaseFactory, options: SqlStoreOptions) {
    this.#makeDatabase = makeDatabase;
    this.#options = options;
  }

  open(): Promise<void> {
    return this.#inTurn(async () => {
      this.#session ??= await this.#connect();
      this.#users += 1;
    });
  }

  close(): Promise<void> {
    return this.#inTurn(async () => {
      if (this.#users === 0 || --this.#users > 0) return;
      const session = this.#session as Session;
      this.#session = undefined;
      await Promise.all([
        session.reads.idle(),
        session.inserts.idle(),
        session.updates.idle(),
        session.clears.idle(),
        session.reminders.idle(),
      ]);
      await session.database.close();
    });
  }

  async read(id: RecordId): Promise<StoredRecord | undefined> {
    return this.#open(id).reads.submit({ id: checked(id), bytes: 0 });
  }

  async write(id: RecordId, data: Uint8Array, etag: string | undefined): Promise<string> {
    const session = this.#open(checked(id));
    if (data.byteLength > RECORD_LIMITS.dataBytes) throw tooLarge(id, data);
    // A copy: the statement is built later, and the caller may go on with its buffer.
    // `Buffer.from` takes it from the pool; small arrays of their own cost more than the rest of this.
    const copied = Buffer.from(data);
    const bytes = data.byteLength;
    if (etag === undefined) return session.inserts.submit({ id, data: copied, bytes });
    return session.updates.submit({ id, data: copied, bytes, etag: checkedEtag(id, etag) });
  }

  async clear(id: RecordId, etag: string | undefined): Promise<void> {
    const session = this.#open(checked(id));
    if (etag !== undefined) return session.clears.submit({ id, etag: checkedEtag(id, etag), bytes: 0 });
    if ((await session.reads.submit({ id, bytes: 0 })) !== undefined) throw conflictOn(id);
  }

  async setReminder(reminder: StoredReminder): Promise<void> {
    return this.#open(checked(reminder)).reminders.set(reminder);
  }

  async removeReminder(id: ReminderId): Promise<boolean> {
    return this.#open(checked(id)).reminders.remove(id);
  }

  async readReminder(id: ReminderId): Promise<StoredReminder | undefined> {
    return this.#open(checked(id)).reminders.read(id);
  }

  async remindersOf({ type, key }: Pick<ReminderId, 'type' | 'key'>): Promise<StoredReminder[]> {
    const all = { type, key, name: '*' };
    return this.#open(checked(all)).reminders.of(all);
  }

  async wakingReminders(query: WakingQuery): Promise<StoredReminder[]> {
    return this.#open().reminders.waking(query);
  }

  async advanceReminder(id: ReminderId, from: TickOf, next: NextTick | undefined): Promise<boolean> {
    return this.#open(checked(id)).reminders.advance(id, from, next);
  }

  #inTurn(work: () => Promise<void>): Promise<void> {
    const done = this.#turn.then(work);
    this.#turn = done.catch(() => undefined);
    return done;
  }

  #open(id?: RecordId): Session {
    if (this.#session) return this.#session;
    throw new StoreError(
      `${id ? grainOf(id) : 'reminders'}: the store is not open; ` +
        'a silo opens its stores when it starts and closes them when it stops',
      id && { grain: grainOf(id) },
    );
  }

  async #connect(): Promise<Session> {
    const database = this.#makeDatabase();
    await database.open();
    try {
      await migrate(database, this.#options.schema);
    } catch (error) {
      await database.close();
      if (error instanceof InvalidConfigError) throw error;
      throw new StoreError(
        `${database.label}: schema '${this.#options.schema}' could not be prepared: ` +
          `${(error as Error).message}; ` +
          `the role needs the right to create it, or to use it once it is there`,
        { cause: error },
      );
    }
    return sessionOn(database, this.#options);
  }
}

function sessionOn(database: SqlDatabase, { schema, waitMs }: SqlStoreOptions): Session {
  const sql = sqlStatements(schema);
  const slots = new StatementSlots(database.concurrency);
  const read = async (ops: readonly Operation[]) => {
    const rows = await database.query(sql.read, namesOf(ops.map((op) => op.id)));
    const found = new Array<StoredRecord | undefined>(ops.length).fill(undefined);
    for (const row of rows)
      found[Number(row.n) - 1] = { data: row.data as Uint8Array, etag: String(row.etag) };
    return found;
  };
  const insert = async (ops: readonly Write[]) => {
    const rows = await database.query(sql.insert, [
      ...namesOf(ops.map((op) => op.id)),
      ...packed(ops.map((op) => op.data)),
    ]);
    return etagsOf(ops, rows, new Set(listed(rows[0]?.inserted)));
  };
  const update = async (ops: readonly Update[]) => {
    const rows = await database.query(sql.update, [
      ...namesOf(ops.map((op) => op.id)),
      ...packed(ops.map((op) => op.data)),
      ops.map((op) => BigInt(op.etag)),
    ]);
    return etagsOf(ops, rows);
  };
  const clear = async (ops: readonly Clear[]) => {
    const rows = await database.query(sql.clear, [
      ...namesOf(ops.map((op) => op.id)),
      ops.map((op) => BigInt(op.etag)),
    ]);
    return etagsOf(ops, rows).map((result) => (typeof result === 'string' ? undefined : result));
  };
  const change = { changes: true, rows: BATCH_LIMITS.rows, waitMs };
  return {
    database,
    reads: new GroupCommit(
      { participle: 'read', changes: false, rows: BATCH_LIMITS.readRows, waitMs, run: read },
      slots,
    ),
    inserts: new GroupCommit<Write, string>({ ...change, participle: 'written', run: insert }, slots),
    updates: new GroupCommit<Update, string>({ ...change, participle: 'written', run: update }, slots),
    clears: new GroupCommit<Clear, void>({ ...change, participle: 'cleared', run: clear }, slots),
    reminders: new SqlReminders(database, slots, { schema, waitMs }),
  };
}

/**
 * Refuses here what the database would refuse, or would change on the way, so that no batch fails because of
 * it.
 */
function checked(id: RecordId): RecordId {
  const { type, key, name } = id;
  const units = type.length + key.length + name.length;
  if (units <= RECORD_LIMITS.nameBytes && ASCII.test(key) && ASCII.test(type) && ASCII.test(name)) return id;
  const text = `${id.type}${id.key}${id.name}`;
  if (text.includes('\0') || !(text as string & { isWellFormed(): boolean }).isWellFormed()) {
    throw new InvalidKeyError(
      `${grainOf(id)}: a record's type, key and name cannot hold NUL or half of a surrogate pair`,
    );
  }
  const bytes = Buffer.byteLength(text);
  if (bytes <= RECORD_LIMITS.nameBytes) return id;
  throw new InvalidKeyError(
    `${grainOf(id)}: type, key and record name have ${bytes} bytes, ` +
      `the limit is ${RECORD_LIMITS.nameBytes}; use a shorter key`,
  );
}

/** Printable: nearly every name, and nothing more to look at. */
const ASCII = /^[ -~]*$/;

/** The etag that each operation succeeded with, or its conflict; `among` are those that count. */
function etagsOf(
  ops: readonly Operation[],
  [row]: readonly SqlRow[],
  among?: ReadonlySet<string>,
): (string | Error)[] {
  const results = new Array<string | Error | undefined>(ops.length).fill(undefined);
  const etags = listed(row?.etags);
  for (const [index, position] of listed(row?.n).entries()) {
    const etag = etags[index] as string;
    if (among === undefined || among.has(etag)) results[Number(position) - 1] = etag;
  }
  return results.map((result, index) => result ?? conflictOn((ops[index] as Operation).id));
}

/** What the statements' lists hold; of nothing the database makes a null. */
function listed(list: SqlRow[string] | undefined): string[] {
  return list ? String(list).split(' ') : [];
}

/** An etag that this store never gave is of no record. */
function checkedEtag(id: RecordId, etag: string): string {
  if (/^[1-9][0-9]{0,17}$/.test(etag)) return etag;
  throw conflictOn(id);
}

function tooLarge(id: RecordId, data: Uint8Array): PayloadTooLargeError {
  return new PayloadTooLargeError(
    `${grainOf(id)}: the record '${id.name}' has ${data.byteLength} bytes, ` +
      `the limit is ${RECORD_LIMITS.dataBytes}; split it into several grains`,
    { grain: grainOf(id) },
  );
}
