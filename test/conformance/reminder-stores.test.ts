import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { describeReminderStore } from '../../framework/testing/reminder-store-conformance.ts';
import { memory } from '../../persistence/memory.ts';
import { pglite, postgres } from '../../persistence/postgres.ts';
import { type PostgresServer, startPostgres } from '../support/postgres.ts';

const shared = memory();
describeReminderStore('memory()', () => shared, { describe, test });

describe('pglite()', () => {
  const inMemory = pglite();
  beforeAll(() => inMemory.open());
  afterAll(() => inMemory.close());
  describeReminderStore('in memory', () => inMemory, { describe, test, durable: false });
});

describe('postgres()', () => {
  let server: PostgresServer;
  let url: string;
  beforeAll(async () => {
    server = await startPostgres();
    url = await server.createDatabase();
  });
  afterAll(() => server?.stop());

  describeReminderStore('one store for each silo', () => postgres({ url }), { describe, test });

  test('a store that is not open says so', async () => {
    const query = { until: 0, after: undefined, partitions: 1, wanted: new Uint8Array([1]), limit: 1 };
    await expect(postgres({ url }).wakingReminders(query)).rejects.toMatchObject({
      code: 'STORE_FAILED',
      message: expect.stringContaining('reminders: the store is not open'),
    });
  });
});
