import type { Client } from 'granary';
import { expect, test } from 'vitest';
import { machineNow } from '../support/machine-clock.ts';
import { keysOf, ProcessCluster } from './process-cluster.ts';
import { type MadeTick, Ticker } from './programs/grains.ts';

const PERIOD_MS = 1_000;
const KEYS = keysOf(40, 'ticker-');

/** All ticks that each grain has saved. */
async function made(client: Client): Promise<Map<string, readonly MadeTick[]>> {
  const ticks = await Promise.all(KEYS.map((key) => client.grain(Ticker, key).ticks()));
  return new Map(KEYS.map((key, index) => [key, ticks[index] as readonly MadeTick[]]));
}

test('after kill -9 of a silo its reminders tick elsewhere within seconds, and no tick is lost', {
  timeout: 60_000,
}, async () => {
  await using cluster = await ProcessCluster.start();
  const client = await cluster.connect();
  const set = await Promise.all(KEYS.map((key) => client.grain(Ticker, key).start(PERIOD_MS)));
  const until = async (which: (ticks: readonly MadeTick[]) => boolean) => {
    const lacking = async () =>
      [...(await made(client).catch(() => new Map()))].filter(([, ticks]) => which(ticks)).length;
    await expect.poll(lacking, { timeout: 20_000, interval: 50 }).toBe(KEYS.length);
  };
  await until((ticks) => ticks.length > 0);
  const victim = cluster.names[0] as string;
  const [killedAt, wallAt] = [cluster.killSilo(victim), Date.now()];
  await until((ticks) => ticks.some(({ scheduledAt, silo }) => scheduledAt > wallAt && silo !== victim));
  expect(machineNow() - killedAt).toBeLessThan(6_000);
  await Promise.all(KEYS.map((key) => client.grain(Ticker, key).stop()));
  const ticks = await made(client);
  const rows = () =>
    cluster.postgres.session('granary', (session) => session.query('SELECT * FROM granary.reminders'));
  expect((await rows()).rows).toEqual([]);
  // Whoever owns them now has not heard that they are forgotten.
  cluster.killSilo(cluster.names[0] as string);
  await cluster.settled();
  await expect.poll(() => made(client).then((now) => [...now]), { timeout: 10_000 }).toEqual([...ticks]);
  for (const [index, key] of KEYS.entries()) {
    const times = [...new Set((ticks.get(key) ?? []).map(({ scheduledAt }) => scheduledAt))];
    const first = set[index] as number;
    expect(times.sort((a, b) => a - b)).toEqual(times.map((_, count) => first + count * PERIOD_MS));
  }
  expect((await rows()).rows).toEqual([]);
});
