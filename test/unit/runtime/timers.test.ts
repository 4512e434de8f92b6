import { Grain, type GrainTimer, grain, LIMITS, method, type TimerOptions } from 'granary';
import { describe, expect, test } from 'vitest';
import { grainTypeOf } from '../../../framework/grain/grain-type.ts';
import type { GrainId } from '../../../framework/identity/grain-id.ts';
import type { NodeAddress } from '../../../framework/identity/silo-address.ts';
import { RuntimeEvents } from '../../../framework/observability/events.ts';
import { Call } from '../../../framework/rpc/call.ts';
import { Activation } from '../../../framework/runtime/activation.ts';
import type { ActivationServices } from '../../../framework/runtime/activation-services.ts';
import { OwnTurns } from '../../../framework/runtime/own-turn.ts';
import { RunningCalls } from '../../../framework/runtime/running-calls.ts';
import { systemRandom } from '../../../framework/system/random.ts';
import { ManualClock } from '../../support/manual-clock.ts';
import { type Deferred, deferred } from '../../support/stage.ts';

/** Does in its turns what the test says. */
@grain({ mailboxMax: 2, idleMs: 1_000 })
class Worker extends Grain {
  @method()
  async work(): Promise<void> {
    await present.work(this);
  }
}

let present: Bench;

/** One activation, by hand: its clock, its calls and its end. */
class Bench {
  readonly clock = new ManualClock(1_000);
  readonly told: string[] = [];
  readonly activation: Activation;
  work: (grain: Worker) => unknown = () => undefined;
  /** Whether the silo lets turns start. */
  open = true;
  #lastId = 0;

  constructor() {
    const events = new RuntimeEvents();
    events.subscribe((event) => {
      if (event.type === 'timerFailed') this.told.push(`${event.timer}: ${(event.error as Error).message}`);
    });
    const services = {
      ...{ siloName: 'a', clock: this.clock, random: systemRandom, events, stores: new Map() },
      ...{ running: new RunningCalls(), ownTurns: new OwnTurns('a~1' as NodeAddress) },
      ...{ mayTakeTurn: () => this.open, returns: () => 0, gone: () => {}, incoming: undefined },
    } as unknown as ActivationServices;
    this.activation = new Activation(grainTypeOf(Worker), 'Worker/x' as GrainId, 0, services);
    this.activation.start();
    present = this;
  }

  /** Runs in a turn. */
  async turn<T>(work: (grain: Worker) => T): Promise<Awaited<T>> {
    const done = deferred<T>();
    this.work = async (grain) => {
      try {
        done.resolve(await work(grain));
      } catch (error) {
        done.reject(error);
      }
    };
    this.#call();
    const result = await done.promise;
    await settled();
    return result as Awaited<T>;
  }

  /** A turn that lasts until the test ends it. */
  hold(): Deferred {
    const end = deferred();
    this.work = () => end.promise;
    this.#call();
    return end;
  }

  timer(options: TimerOptions, tick: () => unknown, name = 't'): Promise<GrainTimer> {
    return this.turn((grain) => ({ made: grain.context.timer(name, options, tick) })).then(
      ({ made }) => made,
    );
  }

  /** Time passes, and what follows from it. */
  async pass(ms: number): Promise<void> {
    for (let i = 0; i < ms; i += 10) {
      this.clock.advance(Math.min(10, ms - i));
      await settled();
    }
  }

  #call(): void {
    const ignore = { value() {}, error() {}, item() {}, moved() {}, notRun() {} };
    const call = new Call('c~1' as NodeAddress, ++this.#lastId, this.activation.id, 'work', [], 1e9, ignore);
    this.activation.accept(call, this.clock.now());
  }
}

const settled = () => new Promise((resolve) => setImmediate(resolve));

describe('a timer', () => {
  test('ticks when it is due, then each period after the end of a tick', async () => {
    const bench = new Bench();
    const at: number[] = [];
    let end = deferred();
    await bench.timer({ dueMs: 50, periodMs: 100 }, async () => {
      at.push(bench.clock.now() - 1_000);
      await end.promise;
    });
    await bench.pass(150); // the first tick takes a while
    expect(at).toEqual([50]);
    end.resolve();
    end = deferred();
    await settled();
    await bench.pass(100);
    expect(at).toEqual([50, 250]);
    end.resolve();
    end = deferred();
    end.resolve();
    await settled();
    await bench.pass(300);
    expect(at).toEqual([50, 250, 350, 450, 550]);
  });

  test('without a period ticks once; with nothing but a period that is also when it begins', async () => {
    const bench = new Bench();
    const ticks: string[] = [];
    await bench.timer({ dueMs: 20 }, () => ticks.push('once'), 'once');
    await bench.timer({ periodMs: 100 }, () => ticks.push('again'), 'again');
    await bench.pass(90);
    expect(ticks).toEqual(['once']);
    await bench.pass(110);
    expect(ticks).toEqual(['once', 'again', 'again']);
  });

  test('waits for the turn that runs, and is not queued again meanwhile', async () => {
    const bench = new Bench();
    let ticks = 0;
    await bench.timer({ periodMs: 10 }, () => ticks++);
    const held = bench.hold();
    await bench.pass(500);
    expect([ticks, bench.activation.mailbox.waiting]).toEqual([0, 1]);
    held.resolve();
    await settled();
    expect(ticks).toBe(1);
    await bench.pass(10);
    expect(ticks).toBe(2);
  });

  test('waits while its silo may not take turns', async () => {
    const bench = new Bench();
    let ticks = 0;
    await bench.timer({ periodMs: 10 }, () => ticks++);
    bench.open = false;
    await bench.pass(100);
    expect(ticks).toBe(0);
    bench.open = true;
    bench.activation.pump();
    expect(ticks).toBe(1);
  });

  test('goes on when a tick throws, at once or later, and tells it', async () => {
    const bench = new Bench();
    let ticks = 0;
    await bench.timer({ periodMs: 10 }, () => {
      ticks++;
      if (ticks === 1) throw new Error('at once');
      return Promise.reject(new Error('later'));
    });
    await bench.pass(20);
    expect(bench.told).toEqual(['t: at once', 't: later']);
    await bench.pass(10);
    expect(ticks).toBe(3);
  });

  test('skips a tick for which the mailbox has no room; one that ticks once tries again', async () => {
    const bench = new Bench();
    const ticks: string[] = [];
    await bench.timer({ periodMs: 100 }, () => ticks.push('periodic'), 'periodic');
    await bench.timer({ dueMs: 100 }, () => ticks.push('once'), 'once');
    const held = [bench.hold(), bench.hold(), bench.hold()];
    await bench.pass(100);
    expect(bench.told).toEqual([
      expect.stringMatching(/^periodic: Worker\/x: 2 calls wait already/),
      expect.stringMatching(/^once: Worker\/x: 2 calls wait already/),
    ]);
    for (const end of held) end.resolve();
    await settled();
    expect(ticks).toEqual([]);
    await bench.pass(100);
    expect(ticks).toEqual(['periodic']);
    await bench.pass(900);
    expect(ticks.filter((tick) => tick === 'once')).toHaveLength(1);
  });

  test('that is disposed of ticks no more, not even when a tick waits', async () => {
    const bench = new Bench();
    let ticks = 0;
    const timer = await bench.timer({ periodMs: 10 }, () => ticks++);
    await bench.pass(10);
    const held = bench.hold();
    await bench.pass(10);
    timer.dispose();
    timer.dispose();
    expect(bench.activation.mailbox.waiting).toBe(0);
    held.resolve();
    await bench.pass(100);
    expect([ticks, bench.clock.timers]).toEqual([1, 0]);
    expect(() => timer.change({ dueMs: 10 })).toThrow(/timer t was disposed of, or replaced/);
  });

  test('may be disposed of from within a tick, and by `using`', async () => {
    const bench = new Bench();
    let ticks = 0;
    const timer = await bench.timer({ periodMs: 10 }, () => {
      ticks++;
      timer.dispose();
    });
    await bench.turn((grain) => {
      using short = grain.context.timer({ periodMs: 10 }, () => ticks++);
      expect(short.name).toBe('1');
    });
    await bench.pass(100);
    expect([ticks, bench.clock.timers]).toEqual([1, 0]);
  });

  test('that is changed counts anew: a tick that waits does not run', async () => {
    const bench = new Bench();
    const at: number[] = [];
    const timer = await bench.timer({ periodMs: 10 }, () => at.push(bench.clock.now() - 1_000));
    const held = bench.hold();
    await bench.pass(50);
    timer.change({ dueMs: 100, periodMs: 30 });
    held.resolve();
    await bench.pass(150);
    expect(at).toEqual([150, 180]);
    timer.change({ dueMs: 5 });
    await bench.pass(100);
    expect(at).toEqual([150, 180, 205]);
  });

  test('that is changed within a tick counts from its end', async () => {
    const bench = new Bench();
    const at: number[] = [];
    const end = deferred();
    const timer = await bench.timer({ dueMs: 10 }, async () => {
      at.push(bench.clock.now() - 1_000);
      if (at.length > 1) return;
      timer.change({ dueMs: 20 });
      await end.promise;
    });
    await bench.pass(60);
    end.resolve();
    await settled();
    await bench.pass(50);
    expect(at).toEqual([10, 80]);
  });

  test('that has ticked for the last time begins anew when it is changed', async () => {
    const bench = new Bench();
    let ticks = 0;
    const timer = await bench.timer({ dueMs: 10 }, () => ticks++);
    await bench.pass(50);
    timer.change({ dueMs: 10 });
    await bench.pass(50);
    expect(ticks).toBe(2);
  });

  test('makes room for another of its name', async () => {
    const bench = new Bench();
    const ticks: string[] = [];
    const first = await bench.timer({ periodMs: 10 }, () => ticks.push('first'));
    await bench.timer({ periodMs: 30 }, () => ticks.push('second'));
    await bench.pass(60);
    expect(ticks).toEqual(['second', 'second']);
    expect(() => first.change({ dueMs: 1 })).toThrow(/replaced by another/);
  });
});

describe('ticks of one timer', () => {
  test('never run beside each other, also when they interleave and the timer is replaced', async () => {
    const bench = new Bench();
    const ends: Deferred[] = [];
    let running = 0;
    let most = 0;
    const tick = async () => {
      most = Math.max(most, ++running);
      const end = deferred();
      ends.push(end);
      await end.promise;
      running--;
    };
    const first = await bench.timer({ periodMs: 10, interleave: true }, tick);
    await bench.pass(50);
    const second = await bench.timer({ periodMs: 10, interleave: true }, tick);
    await bench.timer({ periodMs: 10, interleave: true }, tick);
    second.dispose();
    first.dispose();
    await bench.pass(50);
    expect(ends).toHaveLength(1);
    ends[0]?.resolve();
    await bench.pass(50);
    expect([ends.length, most]).toEqual([2, 1]);
  });

  test('that interleave run beside the turn that runs', async () => {
    const bench = new Bench();
    let ticks = 0;
    await bench.timer({ periodMs: 10, interleave: true }, () => ticks++);
    const held = bench.hold();
    await bench.pass(30);
    expect(ticks).toBe(3);
    held.resolve();
  });
});

describe('the end of an activation', () => {
  const ends: readonly [string, (activation: Activation) => void][] = [
    ['deactivated', (activation) => activation.deactivate('requested')],
    ['beaten in a conflict', (activation) => activation.deactivate('conflict')],
    ['abandoned', (activation) => activation.abandon()],
  ];

  test.each(ends)('is that of its timers: %s', async (_how, end) => {
    const bench = new Bench();
    let ticks = 0;
    const timer = await bench.timer({ periodMs: 10, keepAlive: true }, () => ticks++);
    const held = bench.hold();
    await bench.pass(30);
    end(bench.activation);
    timer.change({ dueMs: 1 });
    held.resolve();
    await bench.pass(100);
    expect([ticks, bench.clock.timers, bench.told]).toEqual([0, 0, []]);
  });

  test('aborts the signal of a tick that runs, and nothing comes after it', async () => {
    const bench = new Bench();
    let ticks = 0;
    const timer = await bench.turn((grain) => ({
      made: grain.context.timer({ periodMs: 10 }, async () => {
        ticks++;
        const { signal } = grain.context;
        await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
      }),
    }));
    await bench.pass(50);
    expect(bench.activation.state).toBe('active');
    bench.activation.deactivate('shutdown');
    await settled();
    timer.made.change({ dueMs: 1 });
    await bench.pass(50);
    expect([bench.activation.state, ticks, bench.clock.timers]).toEqual(['gone', 1, 0]);
    expect(bench.told, 'to be aborted is no failure').toEqual([]);
  });

  test('makes nothing of timers that its last turn makes', async () => {
    const bench = new Bench();
    let ticks = 0;
    await bench.turn((grain) => {
      grain.context.deactivate();
      grain.context.timer('late', { periodMs: 10, keepAlive: true }, () => ticks++).dispose();
      grain.context.timer({ periodMs: 10 }, () => ticks++);
    });
    await bench.pass(50);
    expect([ticks, bench.clock.timers, bench.activation.state]).toEqual([0, 0, 'gone']);
  });
});

describe('an idle activation', () => {
  test('is idle whatever its timers do, unless one is to keep it', async () => {
    const bench = new Bench();
    let ticks = 0;
    await bench.timer({ periodMs: 10 }, () => ticks++, 'plain');
    const keeper = await bench.timer({ dueMs: 2_000, keepAlive: true }, () => ticks++, 'keeper');
    const isIdle = () => bench.activation.isIdle(bench.clock.now(), 1_000);
    await bench.pass(1_000);
    expect([ticks > 50, isIdle()]).toEqual([true, false]);
    keeper.dispose();
    expect(isIdle()).toBe(true);
  });

  test('is so also while a tick runs or waits, and the tick is told; not while a call waits', async () => {
    const bench = new Bench();
    const end = deferred();
    let signal: AbortSignal | undefined;
    await bench.turn((grain) => {
      grain.context.timer({ periodMs: 10 }, () => {});
      grain.context.timer({ dueMs: 10 }, () => {
        signal = grain.context.signal;
        return end.promise;
      });
    });
    const isIdle = () => bench.activation.isIdle(bench.clock.now(), 1_000);
    await bench.pass(1_100);
    expect([bench.activation.running.length, bench.activation.mailbox.waiting]).toEqual([1, 1]);
    expect(isIdle()).toBe(true);
    bench.hold().resolve();
    expect(isIdle()).toBe(false);
    end.resolve();
    await bench.pass(10);
    bench.activation.deactivate('idle');
    expect(signal?.aborted, 'it had ended').toBe(false);
  });

  test('is so after the last tick of a timer that kept it, for which it was used', async () => {
    const bench = new Bench();
    await bench.timer({ dueMs: 2_000, keepAlive: true }, () => {});
    const isIdle = () => bench.activation.isIdle(bench.clock.now(), 1_000);
    await bench.pass(2_000);
    expect(isIdle()).toBe(false);
    await bench.pass(1_000);
    expect(isIdle()).toBe(true);
  });
});

describe('a timer is refused with what is wrong:', () => {
  const wrong: readonly [string, unknown[], RegExp][] = [
    ['no options', [undefined, () => {}], /say when it ticks: \{ dueMs, periodMs \}/],
    ['neither time', [{}, () => {}], /Worker\/x: context.timer: it would never tick; give it dueMs/],
    ['a negative time', [{ dueMs: -1 }, () => {}], /dueMs is -1; it must be a number from 0 to 2147483647/],
    ['more than Node.js can wait', [{ dueMs: 2 ** 31 }, () => {}], /dueMs is 2147483648/],
    ['no period at all', [{ dueMs: 1, periodMs: 0 }, () => {}], /periodMs is 0; .* from 1 to/],
    ['NaN', [{ periodMs: Number.NaN }, () => {}], /periodMs is NaN/],
    ['a text as a time', [{ periodMs: '5' }, () => {}], /periodMs is 5; it must be a number/],
    ['an option that is none', [{ duems: 5 }, () => {}], /no option 'duems'; there are: dueMs, periodMs/],
    [
      'interleave maybe',
      [{ dueMs: 5, interleave: 'maybe' }, () => {}],
      /interleave is maybe; .* true or false/,
    ],
    ['keepAlive 1', [{ dueMs: 5, keepAlive: 1 }, () => {}], /keepAlive is 1; it must be true or false/],
    ['a name and no callback', ['t', { dueMs: 5 }], /the last argument is what a tick does; it must be a/],
    ['no callback', [{ dueMs: 5 }], /the last argument is what a tick does; it must be a function/],
    ['an empty name', ['', { dueMs: 5 }, () => {}], /a timer's name is a text of 1 to 128 characters/],
    ['a number as a name', [7, { dueMs: 5 }, () => {}], /a timer's name is a text/],
  ];

  test.each(wrong)('%s', async (_what, args, message) => {
    const bench = new Bench();
    const make = (grain: Worker) => (grain.context.timer as (...args: unknown[]) => unknown)(...args);
    await expect(bench.turn((grain) => ({ made: Reflect.apply(make, undefined, [grain]) }))).rejects.toThrow(
      expect.objectContaining({ code: 'INVALID_CONFIG', message: expect.stringMatching(message) }),
    );
    expect(bench.clock.timers).toBe(0);
  });

  test('one more than an activation may have; a name that is taken costs none', async () => {
    const bench = new Bench();
    await bench.turn((grain) => {
      const add = (name: string) => grain.context.timer(name, { dueMs: 1_000 }, () => {});
      for (let i = 0; i < LIMITS.timers; i++) add(`t${i}`);
      add('t0');
      expect(() => add('one more')).toThrow(
        expect.objectContaining({ code: 'OVERLOADED', grain: 'Worker/x' }),
      );
      const [spare] = [add('t1')];
      spare?.dispose();
      add('one more');
    });
    expect(bench.clock.timers).toBe(LIMITS.timers);
  });

  test('a change to a schedule that is none, after which the old one holds', async () => {
    const bench = new Bench();
    let ticks = 0;
    const timer = await bench.timer({ periodMs: 10 }, () => ticks++);
    expect(() => timer.change({ periodMs: -5 })).toThrow(/timer t: periodMs is -5/);
    expect(() => timer.change({})).toThrow(/timer t: it would never tick/);
    expect(() => timer.change({ dueMs: 1, keepAlive: true } as object)).toThrow(/no option 'keepAlive'/);
    await bench.pass(20);
    expect(ticks).toBe(2);
  });
});
