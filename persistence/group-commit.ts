import { OverloadedError, StoreError } from '../framework/errors.ts';
import type { RecordId } from '../framework/storage/grain-store.ts';
import { compareRecords, grainOf } from './record.ts';
import { NotSentError, type SqlFailure, sqlFailure } from './sql-database.ts';

/**
 * Group commit. A transaction costs the same for one record as for many: a round trip, a plan, a flush of the
 * log. So while as many statements run as the database takes, what arrives waits, and goes with the next
 * statement, all of it together. Nobody waits for a batch to fill: under no load a write leaves at the end of
 * its tick, and the more arrive, the larger the batches become by themselves.
 *
 * What waits is shared out among the slots that are free. A single statement with all of it would be answered
 * at once: everybody who waited goes on in one tick and comes back in the next, again as one statement, and
 * process and database take turns for ever. In parts, one works while the other does.
 */
export const BATCH_LIMITS = Object.freeze({
  /**
   * Records in one statement that changes them. Beyond some hundreds a larger batch is no faster, and the
   * first of it waits for the last.
   */
  rows: 1_000,
  /** Records that are not shared out: below this a second statement costs more than it gains. */
  unsharedRows: 32,
  /** Records that one statement reads: nobody knows how large they are, and the answer is in memory whole. */
  readRows: 250,
  /** Bytes of data in one statement: some milliseconds of a network. A larger record goes alone. */
  bytes: 4 * 1024 * 1024,
  /** Operations of one kind that may wait; at 50,000 records a second the last one waits a second. */
  waiting: 50_000,
  /** Bytes of data that may wait for one kind of statement. */
  waitingBytes: 128 * 1024 * 1024,
  /**
   * How often a statement that the database gave up in favour of another is run again. Statements here cannot
   * deadlock among themselves.
   */
  attempts: 5,
});

/** One record's part of a statement. */
export interface Operation {
  readonly id: RecordId;
  /** Bytes that it sends. */
  readonly bytes: number;
}

interface Waiting<Op, R> {
  readonly op: Op;
  readonly sinceMs: number;
  resolve(result: R): void;
  reject(error: Error): void;
}

/** The statements that may run at once, shared by all kinds. */
export class StatementSlots {
  readonly #waiters: (() => void)[] = [];
  readonly #perKind: number;
  #free: number;

  constructor(slots: number) {
    this.#free = slots;
    // Writes that wait for a lock must not keep reads out: one kind never holds every slot.
    this.#perKind = Math.max(1, slots - 1);
  }

  /** `onFree` is called whenever a slot becomes free, the kinds taking turns to be first. */
  join(onFree: () => void): void {
    this.#waiters.push(onFree);
  }

  /** How many a kind may take that holds so many. */
  freeTo(heldByKind: number): number {
    return Math.min(this.#free, this.#perKind - heldByKind);
  }

  take(): void {
    this.#free -= 1;
  }

  free(): void {
    this.#free += 1;
    const first = this.#waiters.shift();
    if (first) this.#waiters.push(first);
    for (const onFree of [...this.#waiters]) onFree();
  }
}

export interface StatementKind<Op extends Operation, R> {
  /** What an operation is about, for messages. Default: `record`. */
  readonly noun?: string;
  /** What it does to a record, as in "could not be `read`". */
  readonly participle: string;
  readonly changes: boolean;
  /** Records in one statement at most. */
  readonly rows: number;
  /** What is too old to be still worth sending: its callers have given up. */
  readonly waitMs: number;
  /** Runs one statement for all of `ops`, sorted by record; returns a result or an error for each. */
  run(ops: readonly Op[]): Promise<(R | Error)[]>;
}

/** Turns operations of one kind, as they come, into statements. Every operation gets its own result. */
export class GroupCommit<Op extends Operation, R> {
  readonly #kind: StatementKind<Op, R>;
  readonly #slots: StatementSlots;
  #waiting: Waiting<Op, R>[] = [];
  #waitingBytes = 0;
  #running = 0;
  /** When the tick began whose operations leave at its end. */
  #sinceMs: number | undefined;
  #onIdle: (() => void)[] = [];

  constructor(kind: StatementKind<Op, R>, slots: StatementSlots) {
    this.#kind = kind;
    this.#slots = slots;
    slots.join(() => this.#start());
  }

  submit(op: Op): Promise<R> {
    if (
      this.#waiting.length >= BATCH_LIMITS.waiting ||
      this.#waitingBytes + op.bytes > BATCH_LIMITS.waitingBytes
    ) {
      return Promise.reject(this.#overloaded(op));
    }
    const sinceMs = this.#sinceMs ?? this.#schedule();
    this.#waitingBytes += op.bytes;
    return new Promise((resolve, reject) => {
      this.#waiting.push({ op, sinceMs, resolve, reject });
    });
  }

  /** After the microtasks: turns that one message started reach their saves there. */
  #schedule(): number {
    process.nextTick(() => {
      this.#sinceMs = undefined;
      this.#start();
    });
    this.#sinceMs = performance.now();
    return this.#sinceMs;
  }

  /** Resolves when nothing waits and nothing runs. */
  idle(): Promise<void> {
    if (this.#isIdle()) return Promise.resolve();
    return new Promise((resolve) => this.#onIdle.push(resolve));
  }

  #isIdle(): boolean {
    return this.#waiting.length === 0 && this.#running === 0;
  }

  #start(): void {
    for (;;) {
      const free = this.#slots.freeTo(this.#running);
      if (this.#waiting.length === 0 || free <= 0) return;
      this.#slots.take();
      this.#running += 1;
      const batch = this.#next(Math.ceil(this.#waiting.length / free));
      void this.#run(batch).finally(() => {
        this.#running -= 1;
        this.#slots.free();
        if (this.#isIdle()) for (const resolve of this.#onIdle.splice(0)) resolve();
      });
    }
  }

  /** Takes the oldest that fit into one statement, not many more than `share`. */
  #next(share: number): Waiting<Op, R>[] {
    const batch: Waiting<Op, R>[] = [];
    const rows = Math.min(this.#kind.rows, Math.max(share, BATCH_LIMITS.unsharedRows));
    const oldest = performance.now() - this.#kind.waitMs;
    let bytes = 0;
    let taken = 0;
    for (const next of this.#waiting) {
      if (batch.length === rows || (batch.length > 0 && bytes + next.op.bytes > BATCH_LIMITS.bytes)) break;
      taken += 1;
      this.#waitingBytes -= next.op.bytes;
      if (next.sinceMs < oldest) {
        next.reject(
          this.#failed(
            next.op,
            sqlFailure(new NotSentError('it waited too long for the database, which is slow')),
          ),
        );
      } else {
        bytes += next.op.bytes;
        batch.push(next);
      }
    }
    this.#waiting = this.#waiting.slice(taken);
    return batch.sort((a, b) => compareRecords(a.op.id, b.op.id));
  }

  async #run(batch: readonly Waiting<Op, R>[], attempt = 1): Promise<void> {
    if (batch.length === 0) return;
    try {
      const results = await this.#kind.run(batch.map((waiting) => waiting.op));
      batch.forEach((waiting, index) => {
        const result = results[index] as R | Error;
        if (result instanceof Error) waiting.reject(result);
        else waiting.resolve(result);
      });
    } catch (error) {
      const failure = sqlFailure(error);
      if (failure.again && attempt < BATCH_LIMITS.attempts) return this.#run(batch, attempt + 1);
      if (failure.ofOneRow && batch.length > 1) {
        // Nothing was committed. Halving finds the row in a few statements, and all others succeed.
        const middle = batch.length >> 1;
        await this.#run(batch.slice(0, middle));
        return this.#run(batch.slice(middle));
      }
      for (const waiting of batch) waiting.reject(this.#failed(waiting.op, failure, error));
    }
  }

  #failed({ id }: Op, { undone, reason }: SqlFailure, cause?: unknown): StoreError {
    const { noun = 'record', participle, changes } = this.#kind;
    const outcome = changes && !undone ? `may or may not have been ${participle}` : `was not ${participle}`;
    const advice =
      changes && !undone
        ? 'read it to see, then call again'
        : 'call again, and look at the database if it stays so';
    return new StoreError(`${grainOf(id)}: the ${noun} '${id.name}' ${outcome}: ${reason}; ${advice}`, {
      grain: grainOf(id),
      cause,
    });
  }

  #overloaded({ id }: Op): OverloadedError {
    const { noun = 'record', participle } = this.#kind;
    return new OverloadedError(
      `${grainOf(id)}: the ${noun} '${id.name}' was not ${participle}: ` +
        `${this.#waiting.length} others wait for the database; call again later, with fewer at once`,
      { grain: grainOf(id) },
    );
  }
}
