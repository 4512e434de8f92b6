import { expect, test } from 'vitest';
import { keysOf, ProcessCluster } from './process-cluster.ts';
import { Burner, Counter } from './programs/grains.ts';

/** How long the silo has no rest. */
const BUSY_MS = 10_000;

test('a silo whose grains burn all of its CPU for 10 s is not declared gone', async () => {
  await using cluster = await ProcessCluster.start();
  const client = await cluster.connect({ callTimeoutMs: 30_000 });
  const places = await Promise.all(
    keysOf(40).map(async (key) => ({ key, silo: await client.grain(Burner, key).burn(1) })),
  );
  const victim = 'b';
  const burners = places.filter(({ silo }) => silo === victim).map(({ key }) => key);
  expect(burners.length).toBeGreaterThan(3);
  const end = performance.now() + BUSY_MS;
  let turns = 0;
  // Four callers for each grain: there is always a call that waits, of this grain and of others.
  const burn = async (key: string, offset: number) => {
    while (performance.now() < end) {
      expect(await client.grain(Burner, key).burn(100 + ((turns++ + offset) % 5) * 50)).toBe(victim);
    }
  };
  const before = await cluster.silo('a').state();
  await Promise.all(burners.slice(0, 4).flatMap((key) => [0, 1, 2, 3].map((n) => burn(key, n))));
  for (const { era, events } of await cluster.states()) {
    expect(events.filter(({ type }) => type === 'siloSuspected')).toEqual([]);
    expect(era).toBe(before.era);
  }
  console.log(`busy for ${BUSY_MS} ms: ${turns} turns of 100 to 300 ms back to back`);
  expect((await client.grain(Counter, 'after').increment()).count).toBe(1);
});
