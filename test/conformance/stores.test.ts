import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { StoreError } from '../../framework/errors.ts';
import type { GrainStore, RecordId } from '../../framework/storage/grain-store.ts';
import { describeReminderStore } from '../../framework/testing/reminder-store-conformance.ts';
import { describeStore, storeConformance } from '../../framework/testing/store-conformance.ts';
import { BATCH_LIMITS } from '../../persistence/group-commit.ts';
import { memory } from '../../persistence/memory.ts';
import { pglite, postgres } from '../../persistence/postgres.ts';
import { RECORD_LIMITS } from '../../persistence/sql-store.ts';
import { type PostgresServer, startPostgres } from '../support/postgres.ts';
import { keyedOnTwoSides } from '../support/two-sides.ts';

const folder = mkdtempSync(join(tmpdir(), 'granary-'));
afterAll(() => rmSync(folder, { recursive: true }));

const shared = memory();
describeStore('memory()', () => shared, { describe, test });
describeReminderStore('memory(), for reminders', () => shared, { describe, test });
test('memory(): calls with keys on two sides of a split take effect once, and the class may change', () =>
  keyedOnTwoSides(() => shared));

describe('pglite()', () => {
  // Opening it takes a second, and in memory it ends with its last close: it stays open between the cases.
  const inMemory = pglite();
  beforeAll(() => inMemory.open());
  afterAll(() => inMemory.close());
  describeStore('in memory', () => inMemory, { describe, test, durable: false });
  describeReminderStore('for reminders', () => inMemory, { describe, test, durable: false });
  test('calls with keys on two sides of a split take effect once, and the class may change', () =>
    keyedOnTwoSides(() => inMemory));

  const inDirectory = pglite({ directory: join(folder, 'data') });
  const closedBetween = storeConformance().filter(({ name }) =>
    /closed and opened|under way before it closes/.test(name),
  );
  describe('in a directory', () => {
    for (const { name, run } of closedBetween) test(name, () => run(() => inDirectory));
  });
});

describe('postgres()', () => {
  let server: PostgresServer;
  let url: string;
  beforeAll(async () => {
    server = await startPostgres({ settings: { hba_file: hbaFile(folder) } });
    url = await server.createDatabase();
  });
  afterAll(() => server?.stop());

  describeStore('one store for each silo', () => postgres({ url }), { describe, test });
  test('calls with keys on two sides of a split take effect once, and the class may change', () =>
    keyedOnTwoSides(() => postgres({ url })));
  describeStore('with one connection', () => postgres({ url, poolSize: 1, schema: 'other' }), {
    describe,
    test,
  });

  describeReminderStore('for reminders', () => postgres({ url }), { describe, test });

  test('two silos that write the same records in different orders never deadlock', async () => {
    const database = await server.createDatabase();
    await withStores([postgres({ url: database }), postgres({ url: database })], async (stores) => {
      const ids = Array.from({ length: 300 }, (_, index) => account(`d${index}`));
      const etags = await Promise.all(
        ids.map((id) => (stores[0] as GrainStore).write(id, bytes(0), undefined)),
      );
      for (let round = 0; round < 20; round++) {
        const orders = [ids.keys(), [...ids.keys()].reverse()].map((order) => [...order]);
        const results = await Promise.allSettled(
          orders.flatMap((order, silo) =>
            order.map(async (index) => {
              etags[index] = await (stores[silo] as GrainStore).write(
                ids[index] as RecordId,
                bytes(round),
                etags[index],
              );
            }),
          ),
        );
        expect(results.filter((result) => result.status === 'fulfilled')).toHaveLength(ids.length);
      }
    });
    const [row] = await sql(
      database,
      'SELECT deadlocks::int FROM pg_stat_database WHERE datname = current_database()',
    );
    expect(row?.deadlocks).toBe(0);
  });

  test('one record that the database refuses does not fail the others of its statement', async () => {
    const database = await server.createDatabase();
    await withStores([postgres({ url: database })], async ([store]) => {
      await sql(database, 'ALTER TABLE granary.records ADD CHECK (octet_length(data) <> 13)');
      const results = await Promise.allSettled(
        Array.from({ length: 64 }, (_, index) =>
          store.write(account(`c${index}`), new Uint8Array(index), undefined),
        ),
      );
      const refused = results.flatMap((result, index) =>
        result.status === 'rejected' ? [{ index, reason: result.reason }] : [],
      );
      expect(refused).toMatchObject([{ index: 13, reason: { code: 'STORE_FAILED', grain: 'Account/c13' } }]);
      expect(refused[0]?.reason.message).toContain('was not written');
    });
  });

  test('hundreds of writes at once: those refused, in conflict and very large are told apart', async () => {
    const database = await server.createDatabase();
    const other = postgres({ url: database });
    await withStores([postgres({ url: database }), other], async ([store]) => {
      await sql(database, 'ALTER TABLE granary.records ADD CHECK (octet_length(data) <> 13)');
      const ids = Array.from({ length: 900 }, (_, index) => account(`m${index}`));
      const etags = await Promise.all(ids.map((id) => store.write(id, bytes(1), undefined)));
      const caseOf = (index: number) => {
        if (index === 450) return { data: new Uint8Array(13), code: 'STORE_FAILED', stored: bytes(1) };
        if (index % 7 === 0) return { data: bytes(2), code: 'STATE_CONFLICT', stored: bytes(index & 255, 3) };
        const data = new Uint8Array(index % 300 === 1 ? BATCH_LIMITS.bytes + 1 : 14).fill(index);
        return { data, code: undefined, stored: data };
      };
      const cases = ids.map((_, index) => caseOf(index));
      for (const [index, { code, stored }] of cases.entries())
        if (code === 'STATE_CONFLICT') await other.write(ids[index] as RecordId, stored, etags[index]);
      const results = await Promise.allSettled(
        ids.map((id, index) => store.write(id, (cases[index] as (typeof cases)[0]).data, etags[index])),
      );
      for (const [index, { code, stored }] of cases.entries()) {
        const result = results[index];
        const error = result?.status === 'rejected' ? result.reason : undefined;
        expect([error?.code, error?.grain]).toEqual([code, code && `Account/m${index}`]);
        const record = await store.read(ids[index] as RecordId);
        expect(Buffer.compare(record?.data as Uint8Array, stored)).toBe(0);
        if (result?.status === 'fulfilled') expect(record?.etag).toBe(result.value);
      }
    });
  });

  test('connections that the server ends fail what runs, by name, and are replaced', async () => {
    await withStores([postgres({ url })], async ([store]) => {
      const id = account('terminated');
      const etag = await store.write(id, bytes(1), undefined);
      await sql(url, 'BEGIN; LOCK TABLE granary.records', async () => {
        const write = expect(store.write(id, bytes(2), etag)).rejects.toMatchObject({
          code: 'STORE_FAILED',
          retryable: true,
          grain: 'Account/terminated',
        });
        await until(
          async () =>
            (await sql(url, `SELECT 1 ${GRANARY_BACKENDS} AND wait_event_type = 'Lock'`)).length > 0,
        );
        await sql(url, `SELECT pg_terminate_backend(pid) ${GRANARY_BACKENDS}`);
        await write;
      });
      expect(await store.read(id)).toMatchObject({ etag });
    });
  });

  test('a statement that waits too long is ended by the server, and was not run', async () => {
    await withStores([postgres({ url, statementTimeoutMs: 200 })], async ([store]) => {
      const id = account('locked');
      const etag = await store.write(id, bytes(1), undefined);
      await sql(url, 'BEGIN; LOCK TABLE granary.records', async () => {
        await expect(store.write(id, bytes(2), etag)).rejects.toThrow(/was not written: .*statement timeout/);
      });
      expect(await store.read(id)).toMatchObject({ etag });
    });
  });

  test('a frozen server fails by name what it has, and the store goes on and closes without it', async () => {
    const sockets = openSockets();
    const store = postgres({ url, statementTimeoutMs: 200, connectTimeoutMs: 500, poolSize: 1 });
    await store.open();
    const id = account('frozen');
    const etag = await store.write(id, bytes(1), undefined);
    const frozen = await backends(url);
    for (const pid of frozen) process.kill(pid, 'SIGSTOP');
    try {
      await expect(store.write(id, bytes(2), etag)).rejects.toMatchObject({
        code: 'STORE_FAILED',
        message: expect.stringContaining('may or may not have been written'),
      });
      expect(await store.read(id)).toBeDefined();
      const idle = await backends(url);
      for (const pid of idle) process.kill(pid, 'SIGSTOP');
      frozen.push(...idle.filter((pid) => !frozen.includes(pid)));
      await store.close();
      expect(openSockets()).toBe(sockets);
    } finally {
      for (const pid of frozen) process.kill(pid, 'SIGCONT');
    }
  });

  test.each(['fast', 'immediate'] as const)(
    'restarted under load (%s), it fails by name and goes on; what it acknowledged is there',
    async (mode) => {
      const own = await startPostgres();
      const store = postgres({ url: own.url });
      await store.open();
      let restarted = false;
      let failures = 0;
      const restart = deferred();
      const underWay = deferred();
      const work = Array.from({ length: 100 }, async (_, writer) => {
        const id = account(`r${writer}`);
        let acknowledged = 0;
        let writesAfter = 0;
        let last: { value: number; etag: string | undefined } = { value: 0, etag: undefined };
        while (writesAfter < 5) {
          try {
            const value = last.value + 1;
            last = { value, etag: await store.write(id, number(value), last.etag) };
            acknowledged = value;
            if (restarted) writesAfter += 1;
            if (value === 20) underWay.resolve();
          } catch (error) {
            failures += 1;
            if (!(error instanceof StoreError) || !error.retryable || error.grain !== `Account/r${writer}`)
              throw error;
            await restart.promise;
            const record = await store.read(id);
            last = { value: record ? numberIn(record.data) : 0, etag: record?.etag };
            // The write that failed may have happened; one that was acknowledged must have.
            expect(last.value - acknowledged).toBeOneOf([0, 1]);
          }
        }
      });
      await underWay.promise;
      await own.restart({ mode });
      restarted = true;
      restart.resolve();
      await Promise.all(work);
      expect(failures).toBeGreaterThan(0);
      await store.close();
      await own.stop();
    },
  );

  test('a server that is away fails operations at once, by name, until it is back', async () => {
    const own = await startPostgres();
    await withStores([postgres({ url: own.url })], async ([store]) => {
      await own.shutDown();
      await expect(store.read(account('away'))).rejects.toThrow(
        /Account\/away: the record 'state' was not read: PostgreSQL at .* cannot be reached/,
      );
      await own.start();
      expect(await store.read(account('away'))).toBeUndefined();
    });
    await own.stop();
  });

  test('a schema that a newer Granary has migrated is refused by name', async () => {
    const database = await server.createDatabase();
    await withStores([postgres({ url: database })], async () => {});
    await sql(database, 'INSERT INTO granary.migrations (version) VALUES (1000)');
    await expect(postgres({ url: database }).open()).rejects.toThrow(
      expect.objectContaining({
        code: 'INVALID_CONFIG',
        message: expect.stringMatching(/schema 'granary' has version 1000/),
      }),
    );
  });

  test('a role that may only use the records starts on a schema that another prepared', async () => {
    const database = await server.createDatabase();
    await withStores([postgres({ url: database })], async () => {});
    await sql(
      database,
      `CREATE ROLE clerk LOGIN; GRANT USAGE ON SCHEMA granary TO clerk;
      GRANT SELECT ON granary.migrations TO clerk;
      GRANT SELECT, INSERT, UPDATE, DELETE ON granary.records TO clerk;
      GRANT USAGE ON SEQUENCE granary.etags TO clerk`,
    );
    await withStores([postgres({ url: database.replace('postgres@', 'clerk@') })], async ([store]) => {
      const etag = await store.write(account('clerk'), bytes(1), undefined);
      await store.clear(account('clerk'), await store.write(account('clerk'), bytes(2), etag));
    });
  });

  test('opening says what is wrong: password, role, database, or that nobody is there', async () => {
    await sql(url, "CREATE ROLE guarded LOGIN PASSWORD 'right'");
    const open = (change: (url: URL) => void) => {
      const changed = new URL(url);
      change(changed);
      return postgres({ url: changed.href }).open();
    };
    const wrongPassword = open((to) => Object.assign(to, { username: 'guarded', password: 'wrong-secret' }));
    await expect(wrongPassword).rejects.toMatchObject({
      code: 'INVALID_CONFIG',
      message: expect.stringMatching(/password authentication failed/),
    });
    await expect(wrongPassword).rejects.not.toThrow(/wrong-secret/);
    await expect(open((to) => Object.assign(to, { username: 'nobody' }))).rejects.toMatchObject({
      code: 'INVALID_CONFIG',
    });
    await expect(open((to) => Object.assign(to, { pathname: '/nowhere' }))).rejects.toThrow(
      /database "nowhere" does not exist/,
    );
    const nobody = open((to) => Object.assign(to, { port: '1' }));
    await expect(nobody).rejects.toMatchObject({
      code: 'STORE_FAILED',
      message: expect.stringMatching(/127\.0\.0\.1:1.* cannot be reached/),
    });
  });

  test('what it could not store as it is, it refuses before sending', async () => {
    await withStores([postgres({ url })], async ([store]) => {
      await expect(store.read({ ...account('x'), key: 'a\0b' })).rejects.toMatchObject({
        code: 'INVALID_KEY',
      });
      await expect(store.read({ ...account('x'), key: '\ud800' })).rejects.toMatchObject({
        code: 'INVALID_KEY',
      });
      await expect(store.read({ ...account('x'), key: 'k'.repeat(3_000) })).rejects.toMatchObject({
        code: 'INVALID_KEY',
      });
      const huge = new Uint8Array(RECORD_LIMITS.dataBytes + 1);
      await expect(store.write(account('huge'), huge, undefined)).rejects.toMatchObject({
        code: 'PAYLOAD_TOO_LARGE',
        grain: 'Account/huge',
      });
    });
    await expect(postgres({ url }).read(account('x'))).rejects.toThrow(/the store is not open/);
    const query = { until: 0, after: undefined, partitions: 1, wanted: new Uint8Array([1]), limit: 1 };
    const waking = postgres({ url }).wakingReminders(query);
    await expect(waking).rejects.toThrow(/^reminders: the store is not open/);
  });
});

const GRANARY_BACKENDS =
  "FROM pg_stat_activity WHERE application_name = 'granary' AND datname = current_database()";

function account(key: string): RecordId {
  return { type: 'Account', key, name: 'state' };
}

function bytes(...values: number[]): Uint8Array {
  return Uint8Array.from(values);
}

function number(value: number): Uint8Array {
  return new TextEncoder().encode(String(value));
}

function numberIn(data: Uint8Array): number {
  return Number(new TextDecoder().decode(data));
}

function deferred(): { promise: Promise<void>; resolve: () => void } {
  let resolve = () => {};
  const promise = new Promise<void>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}

/** Runs a statement; when given a body, keeps the connection, and what it has locked, while the body runs. */
async function sql(
  url: string,
  text: string,
  body?: () => Promise<void>,
): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    const result = await client.query(text);
    await body?.();
    return result.rows;
  } finally {
    await client.end();
  }
}

/** Asks the server until it says so; it tells nobody when a statement begins to wait. */
async function until(condition: () => Promise<boolean>): Promise<void> {
  while (!(await condition()));
}

/** Those of this process; one that stays open would keep it alive. */
function openSockets(): number {
  return process.getActiveResourcesInfo().filter((resource) => resource === 'TCPSocketWrap').length;
}

async function backends(url: string): Promise<number[]> {
  return (await sql(url, `SELECT pid ${GRANARY_BACKENDS}`)).map((row) => Number(row.pid));
}

async function withStores(
  stores: [GrainStore, ...GrainStore[]],
  body: (stores: [GrainStore, ...GrainStore[]]) => Promise<void>,
): Promise<void> {
  await Promise.all(stores.map((store) => store.open()));
  try {
    await body(stores);
  } finally {
    await Promise.all(stores.map((store) => store.close()));
  }
}

/** Who may connect how: one role needs its password. */
function hbaFile(folder: string): string {
  const file = join(folder, 'pg_hba.conf');
  const rules = [
    'local all all trust',
    'host all guarded 127.0.0.1/32 scram-sha-256',
    'host all all 127.0.0.1/32 trust',
  ];
  writeFileSync(file, `${rules.join('\n')}\n`);
  chmodSync(folder, 0o755);
  return file;
}
