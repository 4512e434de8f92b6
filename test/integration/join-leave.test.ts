import { expect, test } from 'vitest';
import { machineNow } from '../support/machine-clock.ts';
import { Load } from './load.ts';
import { keysOf, overlaps, ProcessCluster } from './process-cluster.ts';
import type { SiloState } from './programs/silo.ts';
import { report } from './report.ts';

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
  const leavingAt = machineNow();
  const left: SiloState = await cluster.stopSilo('b');
  await cluster.settled();
  const tookMs = (await load.untilAllAnswered()) - leavingAt;
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
  const events = await cluster.expectFlawless([load]);
  report({
    scenario: 'a join and a leave',
    times: { 'all grains of who left elsewhere': tookMs },
    books: [load],
    events,
  });
});

test('three silos are restarted one after the other under load without a failed call', async () => {
  await using cluster = await ProcessCluster.start();
  const load = new Load(await cluster.connect(), keysOf(48));
  await load.untilAllAnswered();
  const stopped: SiloState[] = [];
  const tookMs: number[] = [];
  for (const name of [...cluster.names]) {
    const leavingAt = machineNow();
    stopped.push(await cluster.stopSilo(name));
    await cluster.startSilo(name);
    tookMs.push((await load.untilAllAnswered()) - leavingAt);
  }
  await load.stop();
  expect(load.failures).toEqual([]);
  expect(returns(load)).toEqual([]);
  const states = [...stopped, ...(await cluster.states())];
  expect(overlaps(states.flatMap(({ spans }) => spans))).toEqual([]);
  await cluster.expectIntact(load);
  await cluster.settled();
  const events = await cluster.expectFlawless([load]);
  report({
    scenario: 'a rolling restart',
    times: { 'out, in again and all answered': tookMs },
    books: [load],
    events,
  });
});
