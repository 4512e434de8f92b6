import { Grain, grain, InvalidConfigError, memory, method, state } from 'granary';
import {
  type SimulatedCluster,
  type SimulateOptions,
  SimulationError,
  simulate,
  sweep,
} from 'granary/testing';
import { describe, expect, test, vi } from 'vitest';
import { Engine } from '../../framework/testing/simulation/engine.ts';

@grain()
class Note extends Grain {
  @state() text = '';

  @method()
  async write(text: string): Promise<void> {
    this.text = text;
    await this.save();
  }

  @method({ oneWay: true })
  async neverEnds(): Promise<void> {
    await new Promise(() => {});
  }
}

const options = { seed: 1, grains: [Note] };
const writing = async (cluster: SimulatedCluster) => {
  await cluster.grain(Note, 'x').write('a');
};

describe('options that would simulate something else than was meant', () => {
  const crash = { kind: 'crash', atMs: 1, lastsMs: 1, draw: 1 };
  const stores = { default: { open: () => {} } };

  test.each<[string, object, RegExp]>([
    ['an option that there is not', { fault: 'swarm' }, /no option 'fault'; there are: seed, /],
    ['a limit that is text', { maxMs: '5' }, /maxMs is 5; it must be a number above 0/],
    ['a trace that is no function', { trace: true }, /trace is not a function/],
    ['a store that is none', { stores }, /store 'default' is no GrainStore: one has open, read,/],
    ['a fault that is nothing', { faults: [null] }, /no fault 'null'/],
    ['a fault that is not defined', { faults: [undefined] }, /no fault 'undefined'/],
    ['kinds among whole faults', { faults: ['crash', crash] }, /kinds and whole faults/],
    ['a fault without a time', { faults: [{ kind: 'crash' }] }, /'crash' needs atMs, lastsMs and draw/],
  ])('are refused by name: %s', async (_, wrong, why) => {
    const run = simulate({ ...options, ...wrong } as SimulateOptions, writing);
    await expect(run).rejects.toThrow(InvalidConfigError);
    await expect(simulate({ ...options, ...wrong } as SimulateOptions, writing)).rejects.toThrow(why);
  });

  test('are refused: no story', async () => {
    await expect(simulate(options, undefined as never)).rejects.toThrow(/the story is missing/);
  });

  test.each([[0], [-3], [Number.NaN], [1.5], [[]]])(
    'are refused: a sweep over the seeds %j',
    async (seeds) => {
      await expect(sweep({ seeds, grains: [Note] }, writing)).rejects.toThrow(/sweep: seeds is/);
    },
  );

  test.each<[string, (cluster: SimulatedCluster) => unknown]>([
    ['ms is NaN', (cluster) => cluster.sleep(Number.NaN)],
    ['costMs is -1', (cluster) => cluster.slow('a', -1)],
    ['byMs is NaN', (cluster) => cluster.jumpClock('a', Number.NaN)],
  ])('fail the story: %s', async (why, act) => {
    await expect(simulate(options, async (cluster) => void (await act(cluster)))).rejects.toThrow(why);
  });
});

describe('stores of a simulation', () => {
  test('have a default one when only others are named', async () => {
    await simulate({ ...options, stores: { other: memory() } }, writing);
    await simulate({ ...options, stores: {} }, writing);
  });

  test('fail a call, not the simulation, when they throw at once', async () => {
    const store = memory();
    store.read = () => {
      throw new Error('no database');
    };
    await simulate({ ...options, stores: { default: store } }, async (cluster) => {
      await expect(writing(cluster)).rejects.toThrow(/no database/);
    });
  });

  test('fail the run, with its seed, when they never answer', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    try {
      const engine = new Engine(1);
      void engine.outside(() => new Promise(() => {}));
      const driven = expect(engine.drive(() => false)).rejects.toThrow(
        /a store has not answered for 30 real/,
      );
      vi.advanceTimersByTime(30_000);
      await driven;
    } finally {
      vi.useRealTimers();
    }
  });
});

test('an activation that is left in the end is named', async () => {
  const run = simulate(options, async (cluster) => {
    await cluster.grain(Note, 'x').neverEnds();
    await cluster.sleep(10);
  });
  await expect(run).rejects.toThrow(/has 1 activations left \(Note\/x\)/);
  await expect(run).rejects.toThrow(SimulationError);
});
