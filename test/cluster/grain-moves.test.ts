import { describe, expect, test } from 'vitest';
import { Grain, grain, memory, method, NoSiloError, state } from '../../framework/index.ts';
import { runtimeOf } from '../../framework/silo.ts';
import { TestCluster } from '../../framework/testing/index.ts';

@grain()
class Nomad extends Grain {
  @state() saved = 0;
  @state() words: string[] = [];
  unsaved = 0;
  forgotten = 0;
  readonly #log: string[] = [];

  @method() async add(word: string): Promise<number> {
    this.words.push(word);
    this.unsaved++;
    this.forgotten++;
    return this.words.length;
  }

  @method() async keep(): Promise<void> {
    this.saved++;
    await this.save();
  }

  @method() async go(silo?: string): Promise<void> {
    this.context.migrate(silo);
  }

  @method() async all(): Promise<object> {
    const { saved, words, unsaved, forgotten } = this;
    return { silo: this.context.silo, saved, words, unsaved, forgotten };
  }

  @method() async log(): Promise<string[]> {
    return this.#log;
  }

  override onDehydrate(): unknown {
    return { unsaved: this.unsaved, log: [...this.#log, `left ${this.context.silo}`] };
  }

  override onRehydrate(memory: { unsaved: number; log: string[] }): void {
    this.unsaved = memory.unsaved;
    this.#log.push(...memory.log, `came to ${this.context.silo}`);
  }
}

@grain({ requires: { gpu: true } })
class Renderer extends Grain {
  @method() async where(): Promise<string> {
    return this.context.silo;
  }
}

@grain({ prefers: { zone: 'west' } })
class Customer extends Grain {
  @method() async where(): Promise<string> {
    return this.context.silo;
  }
}

const grains = [Nomad, Renderer, Customer];

async function placeOf(cluster: TestCluster, key: string): Promise<string> {
  return ((await cluster.grain(Nomad, key).all()) as { silo: string }).silo;
}

describe('a grain that moves', () => {
  test('takes its state fields along, saved or not, and what it dehydrates; nothing else', async () => {
    await using cluster = await TestCluster.start({ grains });
    const nomad = cluster.grain(Nomad, 'x');
    await nomad.keep();
    await nomad.add('one');
    await nomad.add('two');
    const from = await placeOf(cluster, 'x');
    const to = cluster.names.find((name) => name !== from) as string;
    await nomad.go(to);
    expect(await nomad.all()).toEqual({
      silo: to,
      saved: 1,
      words: ['one', 'two'],
      unsaved: 2,
      forgotten: 0,
    });
    expect(await nomad.log()).toEqual([`left ${from}`, `came to ${to}`]);
    await cluster.settled();
    expect(cluster.activationsOf(Nomad, 'x').map(({ silo }) => silo)).toEqual([to]);
    await nomad.keep(); // what it has read is what is stored
    expect(await nomad.all()).toMatchObject({ saved: 2, words: ['one', 'two'] });
  });

  test('goes from any silo to any, with calls that come meanwhile in their order, each once', async () => {
    await using cluster = await TestCluster.start({ grains });
    const nomad = cluster.grain(Nomad, 'busy');
    const counts: Promise<number>[] = [];
    for (let round = 0; round < 30; round++) {
      for (let i = 0; i < 5; i++) counts.push(nomad.add(`${round}.${i}`));
      await nomad.go(cluster.names[round % 3] as string);
    }
    expect(await Promise.all(counts)).toEqual(counts.map((_, index) => index + 1));
    await cluster.settled();
    expect(cluster.activationsOf(Nomad, 'busy')).toHaveLength(1);
  });

  test('stays where it was sent; sent nowhere, it goes where its placement puts it', async () => {
    await using cluster = await TestCluster.start({ grains });
    const nomad = cluster.grain(Nomad, 'x');
    const home = await placeOf(cluster, 'x');
    const away = cluster.names.find((name) => name !== home) as string;
    await nomad.go(away);
    expect(await placeOf(cluster, 'x')).toBe(away);
    await nomad.go();
    expect(await placeOf(cluster, 'x')).toBe(home);
  });

  test('is told by name of a silo that is not there, and stays', async () => {
    await using cluster = await TestCluster.start({ grains });
    const nomad = cluster.grain(Nomad, 'x');
    await nomad.add('one');
    await expect(nomad.go('mars')).rejects.toThrow(NoSiloError);
    expect(await nomad.all()).toMatchObject({ words: ['one'] });
  });

  test('comes without its memory when somebody else has written its state meanwhile', async () => {
    const store = memory();
    await using cluster = await TestCluster.start({ grains, stores: { default: store } });
    const nomad = cluster.grain(Nomad, 'x');
    await nomad.keep();
    await nomad.add('in memory');
    const from = await placeOf(cluster, 'x');
    const id = { type: 'Nomad', key: 'x', name: 'state' };
    const stored = await store.read(id);
    await store.write(id, stored?.data as Uint8Array, stored?.etag);
    const lost: string[] = [];
    cluster.subscribe((_silo, event) => {
      if (event.type === 'luggageLost') lost.push(event.grain);
    });
    await nomad.go(cluster.names.find((name) => name !== from) as string);
    expect(await nomad.all()).toMatchObject({ saved: 1, words: [], unsaved: 0 });
    expect(lost).toEqual(['Nomad/x']);
  });

  test('with more than one message in memory takes all of it along', async () => {
    await using cluster = await TestCluster.start({ grains });
    const nomad = cluster.grain(Nomad, 'large');
    const words = Array.from({ length: 8 }, (_, i) => String(i).repeat(300_000));
    for (const word of words) await nomad.add(word);
    const from = await placeOf(cluster, 'large');
    const to = cluster.names.find((name) => name !== from) as string;
    await nomad.go(to);
    expect(await nomad.all()).toMatchObject({ silo: to, words, unsaved: 8 });
  });
});

describe('a question to move a grain', () => {
  async function asked(cluster: TestCluster, change: Readonly<Record<number, unknown>>) {
    const nomad = cluster.grain(Nomad, 'x');
    await nomad.add('one');
    const home = await placeOf(cluster, 'x');
    const [from, to] = cluster.names.filter((name) => name !== home) as [string, string];
    await nomad.go(from);
    await nomad.add('two');
    await cluster.settled();
    const [activation] = cluster.activationsOf(Nomad, 'x');
    const { node, directory } = runtimeOf(cluster.silo(from));
    const partition = directory.partitionOf('Nomad/x');
    const body: unknown[] = [
      'Nomad/x',
      activation?.activationId,
      directory.era.id,
      to,
      [node.address, 0, true],
      99,
    ];
    for (const [index, value] of Object.entries(change)) body[Number(index)] = value;
    const primary = directory.primary(partition) as string;
    const verdict = await node.control.request(primary, 'place', body, 1_000);
    return { verdict, places: cluster.activationsOf(Nomad, 'x').map(({ silo }) => silo), from, to };
  }

  test.each([
    ['of an activation that is gone', { 1: 'another' }],
    ['of another era', { 2: '3.x.y' }],
    ['without a grain', { 0: 7 }],
    ['without luggage', { 4: 'none' }],
  ])('%s changes nothing', async (_what, change) => {
    await using cluster = await TestCluster.start({ grains });
    const { verdict, places, from } = await asked(cluster, change);
    expect(verdict).toBe('notNow');
    expect(places).toEqual([from]);
  });

  test('that is as it must be moves it', async () => {
    await using cluster = await TestCluster.start({ grains });
    const { verdict, places, from, to } = await asked(cluster, {});
    expect(verdict).toBe('elsewhere');
    expect(new Set(places)).toEqual(new Set([from, to])); // the old one goes when it hears of that
  });
});

describe('labels', () => {
  async function start(labels: Readonly<Record<string, Record<string, string | boolean>>>) {
    const cluster = await TestCluster.start({ grains, silos: [] });
    for (const [name, each] of Object.entries(labels)) await cluster.start(name, { labels: each });
    await cluster.settled();
    return cluster;
  }

  test('that a class requires keep its grains to the silos that have them', async () => {
    await using cluster = await start({ a: {}, b: { gpu: true }, c: { gpu: false } });
    const places = await Promise.all([...'0123456789'].map((key) => cluster.grain(Renderer, key).where()));
    expect(new Set(places)).toEqual(new Set(['b']));
    await cluster.stop('b');
    await cluster.settled();
    await expect(cluster.grain(Renderer, '0').where()).rejects.toMatchObject({
      code: 'NO_SILO',
      message: expect.stringMatching(/Renderer.*labels it requires.*gpu/),
    });
    await cluster.start('d', { labels: { gpu: true } });
    await cluster.settled();
    expect(await cluster.grain(Renderer, '0').where()).toBe('d');
  });

  test('that a class prefers decide while there is such a silo', async () => {
    await using cluster = await start({ a: { zone: 'east' }, b: { zone: 'west' } });
    const places = await Promise.all([...'0123456789'].map((key) => cluster.grain(Customer, key).where()));
    expect(new Set(places)).toEqual(new Set(['b']));
    cluster.crash('b');
    await cluster.settled();
    expect(await cluster.grain(Customer, '0').where()).toBe('a');
  });
});
