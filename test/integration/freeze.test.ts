import { expect, test } from 'vitest';
import { machineNow } from '../support/machine-clock.ts';
import { Load } from './load.ts';
import { keysOf, ProcessCluster } from './process-cluster.ts';
import { report } from './report.ts';

const RUNS = 3;

test('grains of a frozen silo answer elsewhere within 4 s; when it thaws nothing is lost, stale or double', {
  timeout: 90_000,
}, async () => {
  await using cluster = await ProcessCluster.start();
  const client = await cluster.connect();
  const [elsewhere, back]: [number[], number[]] = [[], []];
  const loads: Load[] = [];
  for (let run = 0; run < RUNS; run++) {
    const victim = cluster.names[run % cluster.names.length] as string;
    const load = new Load(client, keysOf(48, `run${run}-`));
    loads.push(load);
    await load.untilAllAnswered();
    const orphans = load.keys.filter((key) => load.place(key) === victim);
    expect(orphans.length).toBeGreaterThan(3);
    const frozenAt = await cluster.freeze(victim);
    elsewhere.push((await load.recovery(orphans, victim, frozenAt)).at(-1) as number);
    await load.untilAllAnswered();
    const thawedAt = cluster.thaw(victim);
    await cluster.settled();
    back.push(machineNow() - thawedAt);
    await load.untilAllAnswered();
    await load.stop();
    expect(elsewhere.at(-1)).toBeLessThan(4_000);
    await cluster.expectIntact(load);
    const noticed = (await cluster.silo(victim).state()).events.filter(({ type }) => type === 'awayNoticed');
    expect(noticed.length).toBeGreaterThan(0);
    expect(load.failures.filter(({ retryable }) => !retryable)).toEqual([]);
  }
  const events = await cluster.expectFlawless(loads);
  const times = { 'all its grains elsewhere': elsewhere, 'settled after SIGCONT': back };
  report({ scenario: 'SIGSTOP of a silo', times, books: loads, events });
});
