import { Grain, grain, method, type RuntimeEvent, state } from 'granary';
import { TestCluster } from 'granary/testing';
import { expect, test } from 'vitest';
import { failure } from '../support/places.ts';

@grain({ name: 'Cart' })
class Cart extends Grain {
  @state() items: string[] = [];

  @method()
  async add(item: string): Promise<number> {
    this.items.push(item);
    return this.items.length;
  }

  @method()
  async keep(): Promise<void> {
    await this.save();
  }

  @method()
  async go(silo: string, item?: string): Promise<void> {
    if (item !== undefined) this.items.push(item);
    this.context.migrate(silo);
    if (item !== undefined) throw new Error('second thoughts');
  }

  @method()
  async look(): Promise<string[]> {
    return this.items;
  }
}

/** Has a field more. */
@grain({ name: 'Cart' })
class Marked extends Cart {
  @state() mark = 'none';

  @method()
  async put(mark: string): Promise<string> {
    this.mark = mark;
    await this.save();
    return this.mark;
  }

  /** Not saved. */
  @method()
  async paint(mark: string): Promise<void> {
    this.mark = mark;
  }

  @method()
  async marked(): Promise<string> {
    return this.mark;
  }
}

/** Counts: another version of the same record. */
@grain({ name: 'Cart' })
class Counted extends Grain {
  @state({ version: 2, migrate: { 2: ({ items }) => ({ items: (items as string[]).length }) } }) items = 0;

  @method()
  async add(): Promise<number> {
    return ++this.items;
  }

  @method()
  async go(silo: string): Promise<void> {
    this.context.migrate(silo);
  }
}

const homeOf = (cluster: TestCluster) => cluster.activationsOf(Cart, 'x').map(({ silo }) => silo);

test('answers for keys, and fields that only the other silo knows, are there after a move', async () => {
  await using cluster = await TestCluster.start({ grains: [Marked], silos: ['a'] });
  await cluster.start('b', { grains: [Cart] });
  await cluster.settled();
  const marked = cluster.grain(Marked, 'x');
  await marked.go('a');
  expect(await marked.put('blue')).toBe('blue');
  expect(await marked.$with({ idempotencyKey: 'k' }).add('tea')).toBe(1);
  await marked.add('salt'); // not saved: it moves along in memory
  await marked.go('b');
  expect(await marked.look()).toEqual(['tea', 'salt']);
  expect(homeOf(cluster)).toEqual(['b']);
  expect(await marked.$with({ idempotencyKey: 'k' }).add('tea')).toBe(1);
  await marked.keep();
  await marked.go('a');
  expect([await marked.look(), await marked.marked()]).toEqual([['tea', 'salt'], 'blue']);
  expect(await marked.$with({ idempotencyKey: 'k' }).add('tea')).toBe(1);
});

test('what is not saved moves as a whole, also by way of a silo that does not know all of it', async () => {
  await using cluster = await TestCluster.start({ grains: [Marked], silos: ['a'] });
  await cluster.start('b', { grains: [Cart] });
  await cluster.settled();
  const marked = cluster.grain(Marked, 'x');
  await marked.go('a');
  await marked.put('blue');
  await marked.paint('green');
  await marked.add('tea');
  await marked.go('b');
  await marked.add('salt');
  await marked.go('a');
  expect([await marked.look(), await marked.marked()]).toEqual([['tea', 'salt'], 'green']);
  await marked.go('b');
  await marked.keep(); // all of it, where only the items are known
  await marked.go('a');
  await cluster.stop('a');
  await cluster.start('a', { grains: [Marked] });
  await marked.go('a');
  expect([await marked.look(), await marked.marked()]).toEqual([['tea', 'salt'], 'green']);
});

test('a call with a key that fails takes nothing of what it has changed along', async () => {
  await using cluster = await TestCluster.start({ grains: [Cart], silos: ['a', 'b'] });
  const cart = cluster.grain(Cart, 'x');
  await cart.go('a');
  await cart.add('tea');
  await cart.keep();
  const moving = cart.$with({ idempotencyKey: 'k' }).go('b', 'poison');
  expect((await failure(moving)).message).toBe('second thoughts');
  expect(await cart.look()).toEqual(['tea']);
});

test('fields of one version are not taken over by another', async () => {
  await using cluster = await TestCluster.start({ grains: [Counted], silos: ['a'] });
  await cluster.start('b', { grains: [Cart] });
  await cluster.settled();
  const lost: RuntimeEvent[] = [];
  cluster.subscribe((_silo, event) => void (event.type === 'luggageLost' && lost.push(event)));
  const counted = cluster.grain(Counted, 'x');
  await counted.go('a');
  await counted.add(); // not saved
  await counted.go('b');
  expect(await cluster.grain(Cart, 'x').look()).toEqual([]); // no number where a list should be
  expect(homeOf(cluster)).toEqual(['b']);
  expect(lost).toMatchObject([{ grain: 'Cart/x' }]);
});
