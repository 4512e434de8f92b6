import { DeadlockError, Grain, grain, method, state } from 'granary';
import { TestCluster } from 'granary/testing';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { nextEvent, PLACES, type Place } from '../support/places.ts';
import { Stage } from '../support/stage.ts';

const stage = new Stage();
const told = new Map<string, unknown[]>();
const tell = (key: string, what: unknown) => told.set(key, [...(told.get(key) ?? []), what]);
const of = (key: string) => told.get(key) ?? [];

@grain()
class Meter extends Grain {
  @state() total = 0;
  unsaved = 0;

  override async onActivate(): Promise<void> {
    if (this.key.startsWith('flush')) this.context.timer('flush', { periodMs: 20 }, () => this.flush());
  }

  @method()
  async add(amount: number): Promise<void> {
    this.unsaved += amount;
  }

  @method({ readOnly: true })
  async saved(): Promise<number> {
    return this.total;
  }

  private async flush(): Promise<void> {
    if (this.unsaved === 0) return;
    this.total += this.unsaved;
    this.unsaved = 0;
    await this.save();
  }

  /** A tick that asks for its signal and takes a while. */
  @method()
  async linger(): Promise<void> {
    this.context.timer({ dueMs: 1 }, async () => {
      const { signal } = this.context;
      await new Promise((resolve) => setTimeout(resolve, 5));
      tell(this.key, signal.aborted);
    });
  }

  /** A tick that calls back into its own grain. */
  @method()
  async callMyself(interleave: boolean): Promise<void> {
    this.context.timer({ dueMs: 1, interleave }, async () => {
      const done = this.grain(Meter, this.key).add(1);
      tell(
        this.key,
        await done.then(
          () => 'called',
          (error) => error,
        ),
      );
    });
  }
}

/** Does not interleave, but for its ticks. */
@grain()
class Clerk extends Grain {
  override async onActivate(): Promise<void> {
    this.context.timer('tick', { periodMs: 5, interleave: true }, async () => {
      if (of(this.key).includes('stop')) return;
      const { signal, request } = this.context;
      await Promise.resolve();
      tell(this.key, { user: request.user, from: await this.grain(Echo, this.key).from(), mine: signal });
      expect(this.context.signal).toBe(signal);
    });
  }

  @method()
  async serve(place: string): Promise<unknown[]> {
    const { signal } = this.context;
    const before = await this.grain(Echo, this.key).from();
    await stage.hold(place);
    expect(this.context.signal).toBe(signal);
    const after = await this.grain(Echo, this.key).from();
    return [before, after, this.context.request.user];
  }
}

/** Interleaves in nothing, before it makes a timer. */
@grain()
class Late extends Grain {
  /** Makes the timer whose ticks interleave when it runs already. */
  @method()
  async startBeside(place: string): Promise<unknown[]> {
    const user = () => this.grain(Echo, this.key).from();
    using _timer = this.context.timer({ periodMs: 2, interleave: true }, async () => {
      tell(this.key, [await user(), this.context.request.user]);
    });
    await stage.hold(place);
    return [this.context.request.user, await user()];
  }
}

@grain()
class Echo extends Grain {
  @method()
  async from(): Promise<unknown> {
    return this.context.request.user ?? 'nobody';
  }
}

@grain()
class Early extends Grain {
  readonly timer = this.context.timer({ dueMs: 1 }, () => {});

  @method()
  async works(): Promise<boolean> {
    return true;
  }
}

@grain({ placement: { workers: 2 } })
class Tool extends Grain {
  @method()
  async start(): Promise<void> {
    this.context.timer({ dueMs: 1 }, () => tell(this.key, 'ticked'));
  }
}

@grain({ idleMs: 40 })
class Guest extends Grain {
  @method()
  async stay(keepAlive: boolean): Promise<void> {
    this.context.timer('t', { periodMs: 10, keepAlive }, () => {
      tell(this.key, 'tick');
      if (of(this.key).length === 40) this.context.timer('t', { periodMs: 10 }, () => {});
    });
  }
}

const GRAINS = [Meter, Clerk, Late, Echo, Early, Tool, Guest];

describe.each(PLACES)('timers of grains %s', (_where, open) => {
  let place: Place;
  beforeAll(async () => {
    place = await open(GRAINS);
  });
  afterAll(() => place[Symbol.asyncDispose]());
  const key = (name: string) => `${name} ${_where}`;

  test('made in onActivate save what calls have added', async () => {
    const meter = place.grain(Meter, key('flush'));
    await meter.add(2);
    await meter.add(3);
    await expect.poll(() => meter.saved()).toBe(5);
  });

  test('cannot be made in a constructor, which is said', async () => {
    await expect(place.grain(Early, key('early')).works()).rejects.toMatchObject({
      code: 'ACTIVATION_FAILED',
      cause: {
        code: 'INVALID_CONFIG',
        message: expect.stringMatching(/a constructor cannot make timers; make them in onActivate\(\)/),
      },
    });
  });

  test('have a signal that nothing aborts while the activation lives: a tick has no deadline', async () => {
    await place.grain(Meter, key('linger')).linger();
    await expect.poll(() => of(key('linger'))).toEqual([false]);
  });

  test('of stateless workers tick', async () => {
    await place.grain(Tool, key('tool')).start();
    await expect.poll(() => of(key('tool'))).toEqual(['ticked']);
  });

  test('make calls that belong to the tick: a circle through one is refused', async () => {
    const meter = place.grain(Meter, key('circle'));
    await meter.callMyself(false);
    await expect.poll(() => of(key('circle'))).toEqual([expect.any(DeadlockError)]);
    const me = expect.stringMatching(/^Meter\/circle/);
    expect(of(key('circle'))[0]).toMatchObject({ cycle: [me, me] });
  });

  test('that interleave may call their own grain, which has time for it', async () => {
    await place.grain(Meter, key('own')).callMyself(true);
    await expect.poll(() => of(key('own'))).toEqual(['called']);
  });

  test('that interleave in a class that does not, are told from the turn they run beside', async () => {
    const clerk = place.grain(Clerk, key('clerk')).$with({ request: { user: 'ada' } });
    const served = clerk.serve(key('desk'));
    await stage.reached(key('desk'));
    const before = of(key('clerk')).length;
    await vi.waitFor(() => expect(of(key('clerk')).length).toBeGreaterThan(before + 2));
    stage.release(key('desk'));
    expect(await served).toEqual(['ada', 'ada', 'ada']);
    const ticks = of(key('clerk')) as { user: unknown; from: unknown; mine: AbortSignal }[];
    expect(new Set(ticks.map(({ user, from }) => `${user} ${from}`))).toEqual(new Set(['undefined nobody']));
    expect(new Set(ticks.map(({ mine }) => mine)).size, 'a signal each').toBe(ticks.length);
    tell(key('clerk'), 'stop');
  });

  test('that interleave are told from the turn that made the first of them', async () => {
    const late = place.grain(Late, key('beside')).$with({ request: { user: 'eve' } });
    const started = late.startBeside(key('started'));
    await expect.poll(() => of(key('beside')).length).toBeGreaterThan(2);
    stage.release(key('started'));
    expect(await started).toEqual(['eve', 'eve']);
    expect(new Set(of(key('beside')).map(String))).toEqual(new Set(['nobody,']));
  });

  test('do not keep an activation alive; one that shall does, until it is replaced', async () => {
    const gone = (name: string) => nextEvent(place, 'activationGone', ({ grain }) => grain.includes(name));
    const [plain, kept] = [gone('plain'), gone('kept')];
    await place.grain(Guest, key('plain')).stay(false);
    await place.grain(Guest, key('kept')).stay(true);
    expect(await plain).toMatchObject({ reason: 'idle' });
    expect(of(key('plain')).length).toBeGreaterThan(0);
    expect(of(key('plain')).length).toBeLessThan(40);
    expect(await kept).toMatchObject({ reason: 'idle' });
    expect(of(key('kept'))).toHaveLength(40);
  });
});

describe('timers in a cluster', () => {
  test('stay with the activation that made them: none ticks after a stop or a crash', async () => {
    await using cluster = await TestCluster.start({ silos: ['a', 'b', 'c'], grains: [Meter] });
    const turns: string[] = [];
    cluster.subscribe((silo, event) => {
      if (event.type === 'turnStarted' && event.method.startsWith('$timer.')) turns.push(`${silo}`);
    });
    const keys = Array.from({ length: 12 }, (_, i) => `flush ${i}`);
    await Promise.all(keys.map((key) => cluster.grain(Meter, key).add(1)));
    const silos = new Set(keys.map((key) => cluster.activationsOf(Meter, key)[0]?.silo));
    expect(silos).toEqual(new Set(['a', 'b', 'c']));
    await vi.waitFor(() => expect(new Set(turns).size).toBe(3));
    await cluster.stop('b');
    cluster.crash('c');
    turns.length = 0;
    await vi.waitFor(() => expect(turns.length).toBeGreaterThan(20));
    expect(new Set(turns).size).toBe(1);
  });
});
