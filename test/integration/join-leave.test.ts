import { expect, test } from 'vitest';
import { Load } from './load.ts';
import { keysOf, overlaps, ProcessCluster } from './process-cluster.ts';
import type { SiloState } from './programs/silo.ts';

/** Activation ids of each key in the order in which their answers came; none may come back. */
function returns(load: Load): string[] {
  return load.keys.flatMap((key) => {
    const ids = load.answers(key).map(({ activationId }) => activationId);
    const changes = ids.filter((id, index) => id !== ids[index - 1]);
    return new Set(changes).size === changes.length ? [] : [`${key}: ${changes.join(', ')}`];
  });
}

function placesOf(load: Load): Map<string, { silo: string; activationId: string }> {
  const places = load.keys.map((key) => [key, load.answers(key).at(-1)] as const);
  return new Map(places.flatMap(([key, place]) => (place ? [[key, place]] : [])));
}

test('silos join and leave under load without a failed call, an overlap or a disturbed grain', async () => {
  await using cluster = await ProcessCluster.start();
  const load = new Load(await cluster.connect(), keysOf(64));
  await load.untilAllAnswered();

  const beforeJoin = placesOf(load);
  await cluster.startSilo('d');
  await cluster.settled();
  await load.untilAllAnswered();
  for (const [key, { activationId }] of placesOf(load)) {
    expect(activationId, `${key} after the join`).toBe(beforeJoin.get(key)?.activationId);
  }

  const beforeLeave = placesOf(load);
  const left: SiloState = await cluster.stopSilo('b');
  await cluster.settled();
  await load.untilAllAnswered();
  const moved: string[] = [];
  for (const [key, { silo, activationId }] of placesOf(load)) {
    const before = beforeLeave.get(key);
    if (before?.silo === 'b') moved.push(silo);
    else expect(activationId, `${key}, which b did not own`).toBe(before?.activationId);
  }
  expect(moved.length).toBeGreaterThan(3);
  expect(moved).not.toContain('b');

  await load.stop();
  expect(load.failures).toEqual([]);
  expect(returns(load)).toEqual([]);
  const states = [left, ...(await cluster.states())];
  expect(states.flatMap(({ spans }) => spans.filter(({ running }) => running > 0))).toEqual([]);
  expect(overlaps(states.flatMap(({ spans }) => spans))).toEqual([]);
  await cluster.expectIntact(load);
  console.log(`join and leave: ${load.calls} calls, none failed; ${moved.length} grains moved`);
});

test('three silos are restarted one after the other under load without a failed call', async () => {
  await using cluster = await ProcessCluster.start();
  const load = new Load(await cluster.connect(), keysOf(48));
  await load.untilAllAnswered();
  const stopped: SiloState[] = [];
  for (const name of [...cluster.names]) {
    stopped.push(await cluster.stopSilo(name));
    await cluster.startSilo(name);
    await load.untilAllAnswered();
  }
  await load.stop();
  expect(load.failures).toEqual([]);
  expect(returns(load)).toEqual([]);
  const states = [...stopped, ...(await cluster.states())];
  expect(overlaps(states.flatMap(({ spans }) => spans))).toEqual([]);
  await cluster.expectIntact(load);
  console.log(`rolling restart: ${load.calls} calls, none failed`);
});
