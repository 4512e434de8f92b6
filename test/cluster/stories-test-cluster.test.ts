import { fileURLToPath } from 'node:url';
import { Grain, type GrainStore, grain, InvalidConfigError, inProcess, memory, method, state } from 'granary';
import { TestCluster } from 'granary/testing';
import { afterAll, describe, expect, test } from 'vitest';
import { spawnNode, stopPrograms } from '../support/processes.ts';

afterAll(stopPrograms);

@grain()
class Note extends Grain {
  @state() text = '';

  @method()
  async write(text: string): Promise<void> {
    this.text = text;
    await this.save();
  }

  @method({ readOnly: true })
  async read(): Promise<string> {
    return this.text;
  }

  @method({ readOnly: true })
  async silo(): Promise<string> {
    return this.context.silo;
  }
}

@grain({ placement: { workers: 2 } })
class Worker extends Grain {
  @method()
  async silo(): Promise<string> {
    return this.context.silo;
  }
}

const start = (...silos: string[]) => TestCluster.start({ silos, grains: [Note, Worker] });
const keys = Array.from({ length: 30 }, (_, i) => `k${i}`);

describe('a test cluster', () => {
  test('has three silos when nobody says which, and is settled', async () => {
    await using cluster = await TestCluster.start({ grains: [Note] });
    expect(cluster.names).toEqual(['a', 'b', 'c']);
    for (const name of cluster.names) expect(cluster.silo(name).silos).toEqual(['a', 'b', 'c']);
    expect(cluster.client.silos).toEqual(['a', 'b', 'c']);
  });

  test('starts, stops and crashes silos, and knows which run', async () => {
    await using cluster = await start('a', 'b');
    await cluster.start('c');
    await cluster.stop('a');
    cluster.crash('b');
    expect(cluster.names).toEqual(['c']);
    await cluster.settled();
    expect(cluster.client.silos).toEqual(['c']);
    await cluster.start('a');
    await cluster.settled();
    expect(cluster.silo('c').silos).toEqual(['a', 'c']);
  });

  test('says which silos run when it is asked for another', async () => {
    await using cluster = await start('a', 'b');
    const unknown = /no silo 'x' runs; there are: a, b/;
    expect(() => cluster.silo('x')).toThrow(unknown);
    expect(() => cluster.crash('x')).toThrow(unknown);
    await expect(cluster.stop('x')).rejects.toThrow(unknown);
    expect(() => cluster.partition(['a'], ['x'])).toThrow(unknown);
    expect(() => cluster.partition(['x', 'a'], ['b'])).toThrow(unknown);
    await expect(cluster.start('a')).rejects.toThrow(/'a' runs already/);
    await cluster.stop('b');
    expect(() => cluster.crash('b')).toThrow(/no silo 'b' runs; there are: a/);
    expect(await cluster.grain(Note, 'x').read()).toBe('');
  });

  test('without a single silo lets calls wait, until one starts', async () => {
    await using cluster = await TestCluster.start({ silos: [], grains: [Note] });
    expect(() => cluster.silo('a')).toThrow(/there are: none/);
    const call = cluster.grain(Note, 'x').silo();
    await cluster.start('late');
    expect(await call).toBe('late');
  });

  test('leaves nothing running when it cannot start', async () => {
    const started = TestCluster.start({ grains: [Note], options: { partitions: 3 } });
    await expect(started).rejects.toThrow(InvalidConfigError);
    await expect(TestCluster.start({ silos: ['a', 'a'], grains: [Note] })).rejects.toThrow(/runs already/);
  });

  test('shares one store among its silos, and keeps two clusters apart', async () => {
    await using one = await start('a', 'b');
    await using other = await start('a', 'b');
    await one.grain(Note, 'x').write('kept');
    await one.stop(await one.grain(Note, 'x').silo());
    expect(await one.grain(Note, 'x').read()).toBe('kept');
    expect(await other.grain(Note, 'x').read()).toBe('');
  });

  test('on a transport of its own cannot be cut, and says so', async () => {
    await using cluster = await TestCluster.start({
      silos: ['a', 'b'],
      grains: [Note],
      transport: inProcess(),
    });
    await cluster.grain(Note, 'x').write('kept');
    expect(() => cluster.partition(['a'], ['b'])).toThrow(InvalidConfigError);
    expect(await cluster.grain(Note, 'x').read()).toBe('kept');
  });

  test('tells what its silos tell, of those that start later too, until nobody wants to hear', async () => {
    await using cluster = await start('a');
    const heard: string[] = [];
    const stop = cluster.subscribe((silo, event) => {
      if (event.type === 'activationCreated') heard.push(silo);
    });
    await cluster.start('b');
    await cluster.settled();
    for (const key of keys) await cluster.grain(Note, key).read();
    expect([...new Set(heard)].sort()).toEqual(['a', 'b']);
    expect(heard).toHaveLength(keys.length);
    stop();
    await cluster.grain(Note, 'another').read();
    expect(heard).toHaveLength(keys.length);
  });

  test('may be disposed with calls under way, while it is cut, and twice', async () => {
    const cluster = await start('a', 'b', 'c');
    cluster.partition(['a'], ['b']);
    const calls = keys.map((key) => cluster.grain(Note, key).write('x'));
    await Promise.all([cluster[Symbol.asyncDispose](), Promise.allSettled(calls)]);
    await cluster[Symbol.asyncDispose]();
    expect(cluster.names).toEqual([]);
    await expect(cluster.grain(Note, 'x').read()).rejects.toMatchObject({ code: 'SILO_UNAVAILABLE' });
  });

  test('holds nothing after its end that keeps the process alive', async () => {
    const path = fileURLToPath(new URL('programs/short-life.ts', import.meta.url));
    const program = spawnNode(path);
    await program.line(/^disposed$/);
    const disposedAt = performance.now();
    expect(await program.exited).toEqual({ code: 0, signal: null });
    expect(performance.now() - disposedAt).toBeLessThan(1_000);
  });
});

describe('where a grain is', () => {
  test('is told by activationsOf: nowhere, on one silo, or on each side of a cut', async () => {
    await using cluster = await start('a', 'b');
    expect(cluster.activationsOf(Note, 'x')).toEqual([]);
    expect(cluster.activationsOf('NoSuchType', 'x')).toEqual([]);
    const silo = await cluster.grain(Note, 'x').silo();
    const found = [{ silo, activationId: expect.any(String) }];
    expect(cluster.activationsOf(Note, 'x')).toEqual(found);
    expect(cluster.activationsOf('Note', ['x'])).toEqual(found);
    cluster.partition(['a'], ['b']);
    await cluster.settled();
    for (const name of ['a', 'b']) await cluster.silo(name).grain(Note, 'x').read();
    expect(cluster.activationsOf(Note, 'x').map((each) => each.silo)).toEqual(['a', 'b']);
  });

  test('is told of workers too, which are on every silo that called them', async () => {
    await using cluster = await start('a', 'b');
    for (const name of ['a', 'b']) expect(await cluster.silo(name).grain(Worker, 'w').silo()).toBe(name);
    expect(cluster.activationsOf(Worker, 'w').map(({ silo }) => silo)).toEqual(['a', 'b']);
  });

  test('is told no more of a silo that has crashed', async () => {
    await using cluster = await start('a', 'b');
    const silo = await cluster.grain(Note, 'x').silo();
    cluster.crash(silo);
    expect(cluster.activationsOf(Note, 'x')).toEqual([]);
  });
});

describe('a cut', () => {
  test('leaves the client with the first group, or where it is named', async () => {
    await using cluster = await start('a', 'b');
    const reached = async () => {
      await cluster.settled();
      return new Set(await Promise.all(keys.map((key) => cluster.grain(Note, key).silo())));
    };
    expect(await reached()).toEqual(new Set(['a', 'b']));
    cluster.partition(['a'], ['b']);
    expect(await reached()).toEqual(new Set(['a']));
    cluster.heal();
    await cluster.settled();
    cluster.partition(['a'], ['b', 'client']);
    expect(await reached()).toEqual(new Set(['b']));
    cluster.heal();
    await cluster.settled();
    cluster.partition(['client'], ['a', 'b']);
    await expect(cluster.grain(Note, 'x').$with({ timeoutMs: 200 }).read()).rejects.toMatchObject({
      code: 'CALL_TIMEOUT',
    });
    expect(await cluster.silo('a').grain(Note, 'x').silo()).toEqual(expect.any(String));
  });

  test('is noticed, and settled, on both sides', async () => {
    await using cluster = await start('a', 'b', 'c');
    cluster.partition(['a', 'b'], ['c']);
    await cluster.settled();
    expect(['a', 'b', 'c'].map((name) => cluster.silo(name).silos)).toEqual([['a', 'b'], ['a', 'b'], ['c']]);
    await expect(cluster.settled(1)).resolves.toBeUndefined();
    cluster.heal();
    await expect(cluster.settled(0)).rejects.toThrow(/did not settle in 0 ms: .*c sees c~\w+ instead of a~/s);
    await cluster.settled();
    for (const name of cluster.names) expect(cluster.silo(name).silos).toEqual(['a', 'b', 'c']);
  });
});

test('what a crashed silo still does reaches the store no more, as if its process were gone', async () => {
  const store = memory();
  const writes: string[] = [];
  let release = () => {};
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  const slow: GrainStore = {
    open: () => store.open(),
    close: () => store.close(),
    read: (id) => store.read(id),
    clear: (id, etag) => store.clear(id, etag),
    async write(id, data, etag) {
      writes.push(id.key);
      if (writes.length === 1) await released;
      return store.write(id, data, etag);
    },
  };
  await using cluster = await TestCluster.start({
    silos: ['a', 'b'],
    grains: [Note],
    stores: { default: slow },
  });
  const silo = await cluster.grain(Note, 'x').silo();
  const calls = ['first', 'second', 'third'].map((text) =>
    cluster
      .grain(Note, 'x')
      .write(text)
      .catch(() => {}),
  );
  await expect.poll(() => writes).toEqual(['x']);
  cluster.crash(silo);
  release();
  await Promise.all(calls);
  await cluster.settled();
  expect(['', 'first']).toContain(await cluster.grain(Note, 'x').read());
  expect(writes).toEqual(['x']);
});
