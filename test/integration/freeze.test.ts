import { expect, test } from 'vitest';
import { Load } from './load.ts';
import { keysOf, ProcessCluster } from './process-cluster.ts';

const RUNS = 3;

test('grains of a frozen silo answer elsewhere within 4 s; when it thaws nothing is lost, stale or double', {
  timeout: 90_000,
}, async () => {
  await using cluster = await ProcessCluster.start();
  const client = await cluster.connect();
  for (let run = 0; run < RUNS; run++) {
    const victim = cluster.names[run % cluster.names.length] as string;
    const load = new Load(client, keysOf(48, `run${run}-`));
    await load.untilAllAnswered();
    const orphans = load.keys.filter((key) => load.place(key) === victim);
    expect(orphans.length).toBeGreaterThan(3);
    const { program } = cluster.silo(victim);
    const frozenAt = performance.now();
    await program.sigstop();
    const times = await load.recovery(orphans, victim, frozenAt);
    await load.untilAllAnswered();
    program.sigcont();
    await cluster.settled();
    await load.untilAllAnswered();
    await load.stop();
    console.log(
      `SIGSTOP of ${victim}: ${orphans.length} grains elsewhere after ${times.at(0)?.toFixed(0)} to ` +
        `${times.at(-1)?.toFixed(0)} ms; ${load.failures.length} of ${load.calls} calls failed`,
    );
    expect(times.at(-1)).toBeLessThan(4_000);
    await cluster.expectIntact(load);
    const noticed = (await cluster.silo(victim).state()).events.filter(({ type }) => type === 'awayNoticed');
    expect(noticed.length).toBeGreaterThan(0);
    expect(load.failures.filter(({ retryable }) => !retryable)).toEqual([]);
  }
});
