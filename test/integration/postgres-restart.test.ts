import { expect, test } from 'vitest';
import { Load } from './load.ts';
import { keysOf, ProcessCluster } from './process-cluster.ts';

test.each(['fast', 'immediate'] as const)(
  'over a restart (%s) of PostgreSQL calls fail by name and go on, and what was acknowledged is there',
  async (mode) => {
    await using cluster = await ProcessCluster.start();
    const load = new Load(await cluster.connect(), keysOf(48));
    await load.untilAllAnswered();
    for (let round = 0; round < 2; round++) {
      await cluster.postgres.shutDown(mode);
      const failures = load.failures.length;
      await load.until(() => load.failures.length > failures);
      await cluster.postgres.start();
      const backAt = performance.now();
      await load.untilAllAnswered(backAt);
      const ms = performance.now() - backAt;
      console.log(`PostgreSQL restarted (${mode}): all grains save again after ${ms.toFixed(0)} ms`);
    }
    await load.stop();
    console.log(`PostgreSQL restarts (${mode}): ${load.failures.length} of ${load.calls} calls failed`);
    expect(load.failures.filter(({ code, retryable }) => code !== 'STORE_FAILED' || !retryable)).toEqual([]);
    await cluster.expectIntact(load);
  },
);
