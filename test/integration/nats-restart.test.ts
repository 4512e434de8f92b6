import { setTimeout as wait } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { machineNow } from '../support/machine-clock.ts';
import { Load } from './load.ts';
import { keysOf, ProcessCluster } from './process-cluster.ts';
import { Counter } from './programs/grains.ts';
import { report } from './report.ts';

/** How long NATS is away; longer than the time after which a silent silo is given up. */
const AWAY_MS = Number(process.env.NATS_AWAY_MS ?? 6_000);
const CALL_TIMEOUT_MS = 2_000;
/** What a call may fail with while there is no network. */
const NAMED = ['SILO_UNAVAILABLE', 'NO_SILO', 'CALL_TIMEOUT'];

test('while NATS is away calls fail by name or wait; then all goes on without a restart', async () => {
  await using cluster = await ProcessCluster.start();
  const client = await cluster.connect({ callTimeoutMs: CALL_TIMEOUT_MS });
  const load = new Load(client, keysOf(48));
  await load.untilAllAnswered();
  const before = await cluster.activations();

  cluster.breaking();
  const cutOff = new Promise<void>((resolve) => {
    client.subscribe((event) => event.type === 'connectionChanged' && !event.connected && resolve());
  });
  await cluster.nats.kill();
  await cutOff; // what is sent before that may be lost on its way
  // One call that has the time waits until the network is back.
  const patient = client
    .grain(Counter, 'patient')
    .$with({ timeoutMs: AWAY_MS + 20_000 })
    .increment();
  await wait(AWAY_MS);
  const backAt = machineNow();
  await cluster.nats.restart();
  expect((await patient).count).toBe(1);
  const recoveredMs = (await load.untilAllAnswered(backAt)) - backAt;
  await cluster.settled();
  await load.untilAllAnswered();
  await load.stop();

  expect(load.failures.filter(({ code, retryable }) => !NAMED.includes(code) || !retryable)).toEqual([]);
  const longest = Math.max(...load.failures.map(({ startedAt, at }) => at - startedAt));
  expect(longest).toBeLessThan(CALL_TIMEOUT_MS + 500);
  await cluster.expectIntact(load);
  // Nobody was given up, so nobody's grains moved.
  const after = await cluster.activations();
  for (const [grain, places] of before) expect(after.get(grain), grain).toEqual(places);

  const events = await cluster.expectFlawless([load]);
  const scenario = `NATS away for ${AWAY_MS} ms`;
  report({ scenario, times: { 'all grains answer after it is back': recoveredMs }, books: [load], events });
});
