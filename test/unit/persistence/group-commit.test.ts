import { describe, expect, test } from 'vitest';
import {
  BATCH_LIMITS,
  GroupCommit,
  type Operation,
  StatementSlots,
} from '../../../persistence/group-commit.ts';
import { NotSentError } from '../../../persistence/sql-database.ts';

const ROWS = 100;

/** A statement that the test ends. */
interface Statement {
  readonly keys: string[];
  succeed(): void;
  fail(error: unknown): void;
}

/** A kind of statement on a database that answers when the test says so. */
class ManualKind {
  readonly participle = 'written';
  readonly changes = true;
  readonly rows: number;
  readonly waitMs: number;
  readonly statements: Statement[] = [];

  constructor(waitMs = 60_000, rows = ROWS) {
    this.waitMs = waitMs;
    this.rows = rows;
  }

  run(ops: readonly Operation[]): Promise<string[]> {
    const keys = ops.map((op) => op.id.key);
    return new Promise((resolve, fail) => {
      this.statements.push({ keys, succeed: () => resolve(keys.map((key) => `wrote ${key}`)), fail });
    });
  }
}

function op(key: string, bytes = 0): Operation {
  return { id: { type: 'T', key, name: 'state' }, bytes };
}

const endOfTick = () => new Promise(setImmediate);

function submitAll(commits: GroupCommit<Operation, string>, count: number): Promise<string>[] {
  return Array.from({ length: count }, (_, at) => commits.submit(op(`k${at}`)));
}

function sizes(kind: ManualKind): number[] {
  return kind.statements.map((statement) => statement.keys.length);
}

function setUp({ slots = 1, waitMs = 60_000, rows = ROWS } = {}) {
  const kind = new ManualKind(waitMs, rows);
  return { kind, commits: new GroupCommit<Operation, string>(kind, new StatementSlots(slots)) };
}

describe('group commit', () => {
  test('what one tick brings leaves together at its end, sorted by record', async () => {
    const { kind, commits } = setUp();
    const first = commits.submit(op('b'));
    const second = Promise.resolve().then(() => commits.submit(op('a')));
    expect(kind.statements).toEqual([]);
    await endOfTick();
    expect(kind.statements.map((statement) => statement.keys)).toEqual([['a', 'b']]);
    kind.statements[0]?.succeed();
    expect(await Promise.all([first, second])).toEqual(['wrote b', 'wrote a']);
  });

  test('what arrives while every slot is taken waits, and leaves as one statement', async () => {
    const { kind, commits } = setUp();
    const results = [commits.submit(op('first'))];
    await endOfTick();
    for (const key of ['a', 'b', 'c']) {
      results.push(commits.submit(op(key)));
      await endOfTick();
    }
    expect(kind.statements).toHaveLength(1);
    kind.statements[0]?.succeed();
    await endOfTick();
    expect(kind.statements[1]?.keys).toEqual(['a', 'b', 'c']);
    kind.statements[1]?.succeed();
    await Promise.all(results);
    await commits.idle();
  });

  test('many that wait are shared out among the slots that are free, and a few are not', async () => {
    const { kind, commits } = setUp({ slots: 3, rows: 1_000 });
    const results = submitAll(commits, 300);
    await endOfTick();
    // Two of the three slots: one kind never holds all.
    expect(sizes(kind)).toEqual([150, 150]);
    results.push(...submitAll(commits, 200));
    await endOfTick();
    kind.statements[0]?.succeed();
    await endOfTick();
    expect(sizes(kind)).toEqual([150, 150, 200]);
    for (const at of [1, 2]) kind.statements[at]?.succeed();
    await Promise.all(results);
    const few = submitAll(commits, BATCH_LIMITS.unsharedRows);
    await endOfTick();
    expect(sizes(kind).slice(3)).toEqual([BATCH_LIMITS.unsharedRows]);
    kind.statements[3]?.succeed();
    await Promise.all(few);
  });

  test('of one record several times among many, each gets its own result', async () => {
    const { kind, commits } = setUp({ slots: 3, rows: 1_000 });
    const results = Array.from({ length: 200 }, (_, at) => commits.submit(op(at % 2 ? 'same' : `k${at}`)));
    await endOfTick();
    for (const statement of kind.statements) statement.succeed();
    const texts = await Promise.all(results);
    expect(texts).toEqual(results.map((_, at) => `wrote ${at % 2 ? 'same' : `k${at}`}`));
  });

  test('one kind of statement leaves a slot for the others', async () => {
    const slots = new StatementSlots(2);
    const [writes, reads] = [new ManualKind(), new ManualKind()];
    const [writing, reading] = [
      new GroupCommit<Operation, string>(writes, slots),
      new GroupCommit<Operation, string>(reads, slots),
    ];
    const first = writing.submit(op('a'));
    await endOfTick();
    const second = writing.submit(op('b'));
    const read = reading.submit(op('a'));
    await endOfTick();
    expect([writes.statements.length, reads.statements.length]).toEqual([1, 1]);
    reads.statements[0]?.succeed();
    writes.statements[0]?.succeed();
    await endOfTick();
    writes.statements[1]?.succeed();
    await Promise.all([first, second, read]);
  });

  test('a statement takes no more records and bytes than it may; a larger record goes alone', async () => {
    const { kind, commits } = setUp();
    const results = [
      op('large', BATCH_LIMITS.bytes * 2),
      op('x', BATCH_LIMITS.bytes / 2),
      op('y', BATCH_LIMITS.bytes / 2),
      op('z', 1),
    ].map((o) => commits.submit(o));
    for (let at = 0; at < ROWS; at++) results.push(commits.submit(op(`small${at}`)));
    for (let at = 0; at < 4; at++) {
      await endOfTick();
      kind.statements[at]?.succeed();
    }
    await Promise.all(results);
    expect(kind.statements.map((statement) => statement.keys.length)).toEqual([1, 2, ROWS, 1]);
  });

  test('the queue has an end, in records and in bytes', async () => {
    const { kind, commits } = setUp();
    const running = commits.submit(op('running'));
    await endOfTick();
    const waiting = Array.from({ length: BATCH_LIMITS.waiting }, (_, at) => commits.submit(op(`w${at}`)));
    await expect(commits.submit(op('more'))).rejects.toMatchObject({
      code: 'OVERLOADED',
      grain: 'T/more',
      retryable: true,
    });
    const other = setUp();
    const large = other.commits.submit(op('large', BATCH_LIMITS.waitingBytes));
    await expect(other.commits.submit(op('more', 1))).rejects.toMatchObject({ code: 'OVERLOADED' });
    await endOfTick();
    // What has left the queue counts no more.
    const late = other.commits.submit(op('late', BATCH_LIMITS.waitingBytes));
    for (const { statements } of [kind, other.kind]) {
      for (let at = 0; at < statements.length; at++) {
        statements[at]?.succeed();
        await endOfTick();
      }
    }
    await Promise.all([running, large, late, ...waiting]);
  });

  test('what waited too long fails without being sent', async () => {
    const { kind, commits } = setUp({ waitMs: 20 });
    const first = commits.submit(op('first'));
    await endOfTick();
    const late = expect(commits.submit(op('late'))).rejects.toThrow(
      /T\/late: .* was not written: it waited too long/,
    );
    const since = performance.now();
    while (performance.now() - since <= 20);
    kind.statements[0]?.succeed();
    await late;
    await first;
    expect(kind.statements).toHaveLength(1);
  });

  test('a broken connection leaves the outcome unknown; a refused or unsent statement does not', async () => {
    const messages: string[] = [];
    for (const error of [
      new Error('read ECONNRESET'),
      new NotSentError('nobody there'),
      serverError('42501'),
      serverError('57P01', 'FATAL'),
    ]) {
      const { kind, commits } = setUp();
      const result = commits.submit(op('a')).catch((reason: Error) => messages.push(reason.message));
      await endOfTick();
      kind.statements[0]?.fail(error);
      await result;
    }
    expect(messages.map((message) => /may or may not/.test(message))).toEqual([true, false, false, true]);
  });

  test('a statement that gave way to another is run again, but not for ever', async () => {
    const { kind, commits } = setUp();
    const result = expect(commits.submit(op('a'))).rejects.toMatchObject({
      code: 'STORE_FAILED',
      grain: 'T/a',
    });
    for (let attempt = 0; attempt < BATCH_LIMITS.attempts; attempt++) {
      await endOfTick();
      kind.statements[attempt]?.fail(serverError('40P01'));
    }
    await result;
    expect(kind.statements).toHaveLength(BATCH_LIMITS.attempts);
  });

  test('a fault that may be of one row is narrowed down to it', async () => {
    const { kind, commits } = setUp();
    const results = ['a', 'b', 'bad', 'c', 'd'].map((key) => commits.submit(op(key)));
    const settled = Promise.allSettled(results);
    for (let at = 0; at < 9; at++) {
      await endOfTick();
      const statement = kind.statements[at];
      if (statement?.keys.includes('bad')) statement.fail(serverError('22001'));
      else statement?.succeed();
    }
    expect((await settled).map((result) => result.status)).toEqual([
      'fulfilled',
      'fulfilled',
      'rejected',
      'fulfilled',
      'fulfilled',
    ]);
  });
});

function serverError(code: string, severity = 'ERROR'): Error {
  return Object.assign(new Error(`server error ${code}`), { code, severity });
}
