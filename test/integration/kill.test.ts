import { expect, test } from 'vitest';
import { median } from '../support/median.ts';
import { Load } from './load.ts';
import { keysOf, ProcessCluster } from './process-cluster.ts';
import { report } from './report.ts';

const RUNS = 10;

test('grains of a silo that is killed answer elsewhere within 1.5 s, and nothing acknowledged is lost', {
  timeout: 120_000,
}, async () => {
  await using cluster = await ProcessCluster.start();
  const client = await cluster.connect();
  const recoveries: number[] = [];
  const loads: Load[] = [];
  for (let run = 0; run < RUNS; run++) {
    const victim = cluster.names[0] as string; // The one that runs longest.
    // New grains each time: those of a lost silo stay where they went.
    const load = new Load(client, keysOf(48, `run${run}-`));
    loads.push(load);
    await load.untilAllAnswered();
    const orphans = load.keys.filter((key) => load.place(key) === victim);
    expect(orphans.length).toBeGreaterThan(3);
    const killedAt = cluster.killSilo(victim);
    const times = await load.recovery(orphans, victim, killedAt);
    recoveries.push(times.at(-1) as number);
    await cluster.startSilo(victim);
    await load.untilAllAnswered();
    await load.stop();
    await cluster.expectIntact(load);
    expect(load.failures.filter(({ code }) => code !== 'SILO_UNAVAILABLE')).toEqual([]);
  }
  const events = await cluster.expectFlawless(loads);
  report({
    scenario: 'kill -9 of a silo',
    times: { 'all its grains elsewhere': recoveries },
    books: loads,
    events,
  });
  expect(median(recoveries)).toBeLessThan(1_500);
});
