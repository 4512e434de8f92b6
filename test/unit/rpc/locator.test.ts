import { describe, expect, test } from 'vitest';
import { LIMITS } from '../../../framework/limits.ts';
import { type Cluster, Era } from '../../../framework/membership/cluster.ts';
import { View } from '../../../framework/membership/view.ts';
import { Locator } from '../../../framework/rpc/locator.ts';

const PARTITIONS = 64;

/** A cluster of these silos, which can change. */
class Silos implements Cluster {
  era: Era;

  constructor(...names: string[]) {
    this.era = eraOf(names);
  }

  become(...names: string[]): void {
    this.era = eraOf(names);
  }

  onEra(): () => void {
    return () => {};
  }

  suspect(): void {}
}

function eraOf(names: readonly string[]): Era {
  const view = new View();
  const about = { types: [], labels: {} } as const;
  const rest = { ...about, incarnation: 1, status: 'active', epoch: 0, unreachable: false } as const;
  view.merge(names.map((name) => ({ name, ...rest })));
  return new Era(view, PARTITIONS);
}

const home = (silos: Silos, id: string) => silos.era.primaryAddress(silos.era.ring.partitionOf(id)) as string;
const away = (silos: Silos, id: string) =>
  [...silos.era.present].find((silo) => silo !== home(silos, id)) as string;

const callTo = (target: string) => ({ target, partition: -1 });

describe('the locator', () => {
  test('names the primary of a grain that nobody has answered for, and nobody where no silo is', () => {
    const silos = new Silos('a', 'b', 'c');
    const locator = new Locator(silos);
    for (let i = 0; i < 100; i++) expect(locator.locate(callTo(`T/${i}`))).toBe(home(silos, `T/${i}`));
    silos.become();
    expect(locator.locate(callTo('T/1'))).toBeUndefined();
  });

  test('finds the primary of a call that was made when more partitions were thought to be', () => {
    const silos = new Silos('a', 'b', 'c');
    const locator = new Locator(silos);
    for (let i = 0; i < 100; i++) {
      const call = { target: `T/${i}`, partition: PARTITIONS + i };
      expect(locator.locate(call)).toBe(home(silos, `T/${i}`));
    }
  });

  test('names the silo that a grain has answered from, until it answers from home or is forgotten', () => {
    const silos = new Silos('a', 'b', 'c');
    const locator = new Locator(silos);
    locator.learn(callTo('T/x'), away(silos, 'T/x'));
    expect(locator.locate(callTo('T/x'))).toBe(away(silos, 'T/x'));
    locator.learn(callTo('T/x'), home(silos, 'T/x'));
    expect(locator.locate(callTo('T/x'))).toBe(home(silos, 'T/x'));
    locator.learn(callTo('T/x'), away(silos, 'T/x'));
    locator.forget('T/x');
    expect(locator.locate(callTo('T/x'))).toBe(home(silos, 'T/x'));
  });

  test('never names a silo that is gone, also not when it comes back', () => {
    const silos = new Silos('a', 'b', 'c');
    const locator = new Locator(silos);
    const ids = Array.from({ length: 50 }, (_, i) => `T/${i}`);
    for (const id of ids) locator.learn(callTo(id), away(silos, id));
    silos.become('b', 'c');
    for (const id of ids) expect(['b~1', 'c~1']).toContain(locator.locate(callTo(id)));
    silos.become('a', 'b', 'c');
    for (const id of ids) if (locator.locate(callTo(id)) === 'a~1') expect(home(silos, id)).toBe('a~1');
  });

  test('remembers so many grains and no more, the ones that answered last', () => {
    const silos = new Silos('a', 'b');
    const locator = new Locator(silos);
    const ids = Array.from({ length: LIMITS.locations + 500 }, (_, i) => `T/${i}`);
    for (const id of ids) locator.learn(callTo(id), away(silos, id));
    const remembered = ids.map((id) => locator.locate(callTo(id)) !== home(silos, id));
    expect(remembered.filter((each) => each)).toHaveLength(LIMITS.locations);
    expect(remembered.slice(0, 500)).not.toContain(true);
  });

  test('remembers nothing of grains that answer from home', () => {
    const silos = new Silos('a', 'b');
    const locator = new Locator(silos);
    locator.learn(callTo('T/x'), home(silos, 'T/x'));
    silos.become('a', 'b', 'c', 'd', 'e', 'f');
    for (let i = 0; i < 50; i++) locator.learn(callTo(`T/${i}`), home(silos, `T/${i}`));
    silos.become('g', 'h', 'a', 'b', 'c', 'd', 'e', 'f');
    for (let i = 0; i < 50; i++) expect(locator.locate(callTo(`T/${i}`))).toBe(home(silos, `T/${i}`));
  });
});
