import { Grain, grain, method } from 'granary';
import { TestCluster } from 'granary/testing';
import { expect, test } from 'vitest';

@grain()
class Witness extends Grain {
  @method()
  async where(): Promise<string> {
    return this.context.activationId;
  }
}

const SIDES = [
  ['a', 'b', 'c'],
  ['d', 'e', 'f'],
] as const;

// Each side has claimed all of the other, and says so when it hears of it again. Who believed that of its
// own side, too, was alone in its era until they had refuted it: six silos, each with all partitions.
test('when a split heals, no silo takes its own side for gone, and what that calls stays', async () => {
  await using cluster = await TestCluster.start({ silos: SIDES.flat(), grains: [Witness] });
  const keys = Array.from({ length: 60 }, (_, index) => `k${index}`);
  const where = () => Promise.all(keys.map((key) => cluster.grain(Witness, key).where()));
  cluster.partition(SIDES[0], SIDES[1]);
  await cluster.settled();
  const before = await where();
  const strange: string[] = [];
  cluster.subscribe((silo, event) => {
    if (event.type !== 'viewChanged') return;
    const side = SIDES.find((each) => (each as readonly string[]).includes(silo)) ?? [];
    const missing = side.filter((name) => !event.silos.includes(name));
    if (missing.length > 0) strange.push(`${silo} misses ${missing.join(' and ')}`);
  });
  cluster.heal();
  const during = where();
  await cluster.settled();
  expect(strange).toEqual([]);
  expect(await during).toEqual(before);
  expect(await where()).toEqual(before);
});
