import { GranaryError, StoreError } from '../framework/errors.ts';
import type {
  NextTick,
  ReminderId,
  StoredReminder,
  TickOf,
  WakingQuery,
} from '../framework/storage/reminder-store.ts';
import { BATCH_LIMITS, GroupCommit, type Operation, type StatementSlots } from './group-commit.ts';
import { compareRecords, grainOf } from './record.ts';
import { type SqlDatabase, type SqlRow, type SqlStatement, sqlFailure } from './sql-database.ts';
import { type ReminderStatements, reminderStatements } from './sql-reminder-statements.ts';
import { namesOf } from './sql-statements.ts';

interface Setting extends Operation {
  readonly id: StoredReminder;
}

interface Ending extends Operation {
  readonly from: TickOf;
}

interface Advance extends Ending {
  readonly next: NextTick;
}

interface Options {
  readonly schema: string;
  readonly waitMs: number;
}

/**
 * Reminders in a table of their own, from when the store is opened until it is closed. A hundred thousand
 * that are due in one minute are a hundred thousand advances: they share statements, as saves do.
 */
export class SqlReminders {
  readonly #database: SqlDatabase;
  readonly #sql: ReminderStatements;
  readonly #sets: GroupCommit<Setting, void>;
  readonly #removals: GroupCommit<Operation, boolean>;
  readonly #reads: GroupCommit<Operation, StoredReminder | undefined>;
  readonly #advances: GroupCommit<Advance, boolean>;
  readonly #endings: GroupCommit<Ending, boolean>;

  constructor(database: SqlDatabase, slots: StatementSlots, { schema, waitMs }: Options) {
    this.#database = database;
    this.#sql = reminderStatements(schema);
    const common = { noun: 'reminder', waitMs, changes: true, rows: BATCH_LIMITS.rows };
    const sets = { ...common, participle: 'set', run: (ops: readonly Setting[]) => this.#runSets(ops) };
    const reads = { participle: 'read', run: (ops: readonly Operation[]) => this.#runReads(ops) };
    const removals = { participle: 'removed', run: (ops: readonly Operation[]) => this.#runRemovals(ops) };
    const advances = { participle: 'moved on', run: (ops: readonly Advance[]) => this.#runAdvances(ops) };
    const endings = { participle: 'ended', run: (ops: readonly Ending[]) => this.#runEndings(ops) };
    this.#sets = new GroupCommit<Setting, void>(sets, slots);
    this.#removals = new GroupCommit<Operation, boolean>({ ...common, ...removals }, slots);
    this.#reads = new GroupCommit<Operation, StoredReminder | undefined>(
      { ...common, changes: false, ...reads },
      slots,
    );
    this.#advances = new GroupCommit<Advance, boolean>({ ...common, ...advances }, slots);
    this.#endings = new GroupCommit<Ending, boolean>({ ...common, ...endings }, slots);
  }

  set(reminder: StoredReminder): Promise<void> {
    return this.#sets.submit({ id: reminder, bytes: reminder.schedule.length });
  }

  remove(id: ReminderId): Promise<boolean> {
    return this.#removals.submit({ id, bytes: 0 });
  }

  read(id: ReminderId): Promise<StoredReminder | undefined> {
    return this.#reads.submit({ id, bytes: 0 });
  }

  advance(id: ReminderId, from: TickOf, next: NextTick | undefined): Promise<boolean> {
    if (next) return this.#advances.submit({ id, from, next, bytes: 0 });
    return this.#endings.submit({ id, from, bytes: 0 });
  }

  async of(id: ReminderId): Promise<StoredReminder[]> {
    const rows = await this.#query(this.#sql.of, [id.type, id.key], grainOf(id));
    return rows.map(reminderIn).sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  async waking({ until, after, partitions, wanted, limit }: WakingQuery): Promise<StoredReminder[]> {
    const { wakeAt = Number.MIN_SAFE_INTEGER, registration = '' } = after ?? {};
    const place = [BigInt(Math.floor(until)), BigInt(wakeAt), registration];
    const rows = await this.#query(this.#sql.waking, [...place, Buffer.from(wanted), partitions - 1, limit]);
    return rows.map(reminderIn);
  }

  async idle(): Promise<void> {
    await Promise.all([
      this.#sets.idle(),
      this.#removals.idle(),
      this.#reads.idle(),
      this.#advances.idle(),
      this.#endings.idle(),
    ]);
  }

  async #query(statement: SqlStatement, params: readonly unknown[], grain?: string): Promise<SqlRow[]> {
    try {
      return await this.#database.query(statement, params);
    } catch (error) {
      if (error instanceof GranaryError) throw error;
      const text = `${grain ?? this.#database.label}: reminders were not read: ${sqlFailure(error).reason}`;
      throw new StoreError(text, { ...(grain !== undefined && { grain }), cause: error });
    }
  }

  /** A statement may not write a row twice: of several for one reminder the last counts. */
  async #runSets(ops: readonly Setting[]): Promise<undefined[]> {
    const last = ops.filter(({ id }, index) => {
      const next = ops[index + 1];
      return next === undefined || compareRecords(id, next.id) !== 0;
    });
    const reminders = last.map(({ id }) => id);
    await this.#database.query(this.#sql.set, [
      ...namesOf(reminders),
      reminders.map(({ hash }) => hash | 0),
      reminders.map(({ registration }) => registration),
      reminders.map(({ dueAt }) => BigInt(dueAt)),
      reminders.map(({ wakeAt }) => BigInt(wakeAt)),
      reminders.map(({ failures }) => failures),
      reminders.map(({ schedule }) => schedule),
    ]);
    return ops.map(() => undefined);
  }

  async #runReads(ops: readonly Operation[]): Promise<(StoredReminder | undefined)[]> {
    const rows = await this.#database.query(this.#sql.read, namesOf(ops.map(({ id }) => id)));
    const found = new Array<StoredReminder | undefined>(ops.length).fill(undefined);
    for (const row of rows) found[Number(row.n) - 1] = reminderIn(row);
    return found;
  }

  async #runRemovals(ops: readonly Operation[]): Promise<boolean[]> {
    return succeeded(ops, await this.#database.query(this.#sql.remove, namesOf(ops.map(({ id }) => id))));
  }

  async #runEndings(ops: readonly Ending[]): Promise<boolean[]> {
    return succeeded(ops, await this.#database.query(this.#sql.end, conditions(ops)));
  }

  async #runAdvances(ops: readonly Advance[]): Promise<boolean[]> {
    const rows = await this.#database.query(this.#sql.advance, [
      ...conditions(ops),
      ops.map(({ next }) => BigInt(next.dueAt)),
      ops.map(({ next }) => BigInt(next.wakeAt)),
      ops.map(({ next }) => next.failures),
    ]);
    return succeeded(ops, rows);
  }
}

function conditions(ops: readonly Ending[]): unknown[] {
  return [
    ...namesOf(ops.map(({ id }) => id)),
    ops.map(({ from }) => from.registration),
    ops.map(({ from }) => BigInt(from.dueAt)),
  ];
}

/** For each operation, whether its position is in the list that the statement returns. */
function succeeded(ops: readonly Operation[], [row]: readonly SqlRow[]): boolean[] {
  const positions = new Set(row?.n ? String(row.n).split(' ').map(Number) : []);
  return ops.map((_, index) => positions.has(index + 1));
}

/** The three names come as one text, `type/key`, a line feed, and the name: see the statements. */
function reminderIn(row: SqlRow): StoredReminder {
  const id = String(row.id);
  const [slash, line] = [id.indexOf('/'), id.indexOf('\n')];
  return {
    type: id.slice(0, slash),
    key: id.slice(slash + 1, line),
    name: id.slice(line + 1),
    hash: Number(row.hash) >>> 0,
    registration: String(row.registration),
    dueAt: Number(row.due_at),
    wakeAt: Number(row.wake_at),
    failures: Number(row.failures),
    schedule: String(row.schedule),
  };
}
