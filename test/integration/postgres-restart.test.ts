import { expect, test } from 'vitest';
import { machineNow } from '../support/machine-clock.ts';
import { Load } from './load.ts';
import { keysOf, ProcessCluster } from './process-cluster.ts';
import { report } from './report.ts';

test.each(['fast', 'immediate'] as const)(
  'over a restart (%s) of PostgreSQL calls fail by name and go on, and what was acknowledged is there',
  async (mode) => {
    await using cluster = await ProcessCluster.start();
    const load = new Load(await cluster.connect(), keysOf(48));
    await load.untilAllAnswered();
    const recoveries: number[] = [];
    for (let round = 0; round < 2; round++) {
      await cluster.postgres.shutDown(mode);
      const failures = load.failures.length;
      await load.until(() => load.failures.length > failures);
      await cluster.postgres.start();
      const backAt = machineNow();
      recoveries.push((await load.untilAllAnswered(backAt)) - backAt);
    }
    await load.stop();
    expect(load.failures.filter(({ code, retryable }) => code !== 'STORE_FAILED' || !retryable)).toEqual([]);
    await cluster.expectIntact(load);
    const events = await cluster.expectFlawless([load]);
    const scenario = `a restart (${mode}) of PostgreSQL`;
    report({ scenario, times: { 'all grains save after it is back': recoveries }, books: [load], events });
  },
);
