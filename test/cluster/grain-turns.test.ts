import { DeadlockError, Grain, grain, LIMITS, method, OverloadedError } from 'granary';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { failure, nextEvent, PLACES, type Place } from '../support/places.ts';
import { Stage } from '../support/stage.ts';

const stage = new Stage();
const log: string[] = [];

/** Notes how many calls are inside at once. */
abstract class Crowd extends Grain {
  #inside = 0;
  #most = 0;

  @method()
  async enter(): Promise<number> {
    this.#most = Math.max(this.#most, ++this.#inside);
    for (let i = 0; i < 3; i++) await new Promise(setImmediate);
    this.#inside--;
    return this.#most;
  }
}

@grain()
class Single extends Crowd {
  @method()
  async note(text: string): Promise<void> {
    log.push(text);
    if (text.endsWith('0')) await new Promise(setImmediate);
  }
}

@grain({ reentrant: true })
class Reentrant extends Crowd {}

@grain()
class Ledger extends Grain {
  @method()
  async write(place: string): Promise<void> {
    await stage.hold(place);
  }

  @method({ readOnly: true })
  async read(place: string): Promise<void> {
    await stage.hold(place);
  }

  /** Answered when everything that was sent before it has arrived. */
  @method({ interleave: true })
  async ping(): Promise<string> {
    return 'pong';
  }

  /** Waits, beside whatever runs, for a call to itself. */
  @method({ interleave: true })
  async writeMyself(place: string): Promise<string> {
    await stage.hold(`${place} begins`);
    await this.grain(Ledger, this.key).write(place);
    return this.context.activationId;
  }

  @method({ interleave: true })
  async end(): Promise<string> {
    this.context.deactivate();
    return this.context.activationId;
  }
}

@grain({ mailboxMax: 2 })
class Narrow extends Grain {
  @method()
  async work(place: string): Promise<string> {
    await stage.hold(place);
    return place;
  }
}

/** Calls the grains of a route one after the other, each the next. */
abstract class Hop extends Grain {
  @method()
  async call(route: string[]): Promise<string[]> {
    return this.follow(route);
  }

  @method({ readOnly: true })
  async look(route: string[]): Promise<string[]> {
    return this.follow(route);
  }

  @method({ interleave: true })
  async slip(route: string[]): Promise<string[]> {
    return this.follow(route);
  }

  @method({ readOnly: true })
  async lookFrom(place: string, route: string[]): Promise<string[]> {
    await stage.hold(place);
    return this.follow(route);
  }

  @method()
  async meet(own: string, other: string, route: string[]): Promise<string[]> {
    stage.pass(own);
    await stage.reached(other);
    return this.follow(route);
  }

  @method()
  async hold(place: string): Promise<void> {
    await stage.hold(place);
  }

  protected async follow([next, ...rest]: string[]): Promise<string[]> {
    if (next === undefined) return [this.context.id];
    const [type, key, name = 'call'] = next.split('/') as [string, string, 'call'?];
    return [this.context.id, ...(await this.grain<Plain>(type, key)[name](rest))];
  }
}

@grain()
class Plain extends Hop {}

@grain({ reentrant: 'callChain' })
class Chained extends Hop {}

/** By when the deadlock detector has looked why a call waits. */
const LOOKED_AT_MS = 150;

const GRAINS = [Single, Reentrant, Ledger, Narrow, Plain, Chained];

describe.each(PLACES)('turns of grains %s', (_where, open) => {
  let place: Place;
  beforeAll(async () => {
    place = await open(GRAINS);
  });
  afterAll(() => place[Symbol.asyncDispose]());

  test('are one at a time, awaits included', async () => {
    const single = place.grain(Single, 'busy');
    expect(await Promise.all(Array.from({ length: 20 }, () => single.enter()))).toEqual(Array(20).fill(1));
  });

  test('interleave at awaits in a reentrant class', async () => {
    const reentrant = place.grain(Reentrant, 'busy');
    const most = await Promise.all(Array.from({ length: 20 }, () => reentrant.enter()));
    expect(Math.max(...most)).toBeGreaterThan(1);
  });

  test('start in the order in which one caller sent the calls', async () => {
    const single = place.grain(Single, 'ordered');
    const sent = Array.from({ length: 200 }, (_, i) => `${_where}-${i}`);
    await Promise.all(sent.map((text) => single.note(text)));
    expect(log.filter((text) => text.startsWith(_where))).toEqual(sent);
  });

  test('of interleaving methods run beside whatever runs', async () => {
    const ledger = place.grain(Ledger, 'interleave');
    const write = ledger.write(`${_where} 1`);
    await stage.reached(`${_where} 1`);
    expect(await ledger.ping()).toBe('pong');
    stage.release(`${_where} 1`);
    await write;
  });

  // It was taken for a deadlock: at once, or by the detector when the call waited for another turn.
  test('that interleave may wait for a call to their own grain, behind whatever runs', async () => {
    const at = (name: string) => `${_where} own ${name}`;
    const ledger = place.grain(Ledger, 'own');
    const first = ledger.write(at('1'));
    await stage.reached(at('1'));
    stage.release(`${at('2')} begins`);
    const second = ledger.writeMyself(at('2'));
    await new Promise((resolve) => setTimeout(resolve, LOOKED_AT_MS));
    expect(stage.visits(at('2'))).toBe(0);
    stage.release(at('1'), at('2'));
    await first;
    expect(await second).toEqual(expect.any(String));
  });

  test('that interleave get such calls also in an activation that ends, past others', async () => {
    const at = (name: string) => `${_where} ending ${name}`;
    const ledger = place.grain(Ledger, 'ending');
    const own = ledger.writeMyself(at('own'));
    const first = ledger.write(at('first'));
    await Promise.all([stage.reached(`${at('own')} begins`), stage.reached(at('first'))]);
    const other = ledger.write(at('other'));
    const life = await ledger.end();
    stage.release(`${at('own')} begins`, at('first'));
    await Promise.all([first, stage.reached(at('own'))]);
    expect(stage.visits(at('other'))).toBe(0);
    stage.release(at('own'), at('other'));
    expect(await own).toBe(life);
    await other;
  });

  test('of read-only methods run beside each other, and never beside one that may write', async () => {
    const at = (name: string) => `${_where} shared ${name}`;
    const ledger = place.grain(Ledger, 'shared');
    const reads = [ledger.read(at('r1')), ledger.read(at('r2'))];
    await Promise.all([stage.reached(at('r1')), stage.reached(at('r2'))]);
    const write = ledger.write(at('w'));
    const late = ledger.read(at('r3'));
    await ledger.ping();
    expect([stage.visits(at('w')), stage.visits(at('r3'))]).toEqual([0, 0]); // nobody overtakes
    stage.release(at('r1'), at('r2'));
    await stage.reached(at('w'));
    await ledger.ping();
    expect(stage.visits(at('r3'))).toBe(0);
    stage.release(at('w'), at('r3'));
    await Promise.all([...reads, write, late]);
  });

  test('are refused beyond mailboxMax waiting calls, which did not run', async () => {
    const at = (name: string) => `${_where} narrow ${name}`;
    const narrow = place.grain(Narrow, 'n');
    const first = narrow.work(at('1'));
    await stage.reached(at('1'));
    const waiting = [narrow.work(at('2')), narrow.work(at('3'))];
    const error = await failure(narrow.work(at('4')));
    expect(error).toBeInstanceOf(OverloadedError);
    expect(error).toMatchObject({ code: 'OVERLOADED', retryable: true, grain: 'Narrow/n' });
    expect(error.message).toMatch(/mailboxMax/);
    const told = nextEvent(place, 'oneWayFailed');
    await narrow.$with({ oneWay: true }).work(at('4'));
    expect(await told).toMatchObject({ grain: 'Narrow/n', error: { code: 'OVERLOADED' } });
    stage.release(at('1'), at('2'), at('3'), at('4'));
    expect(await Promise.all([first, ...waiting])).toEqual([at('1'), at('2'), at('3')]);
    expect(stage.visits(at('4'))).toBe(0);
    expect(await narrow.work(at('4'))).toBe(at('4'));
  });
});

describe.each(PLACES)('calls in a circle, of grains %s,', (_where, open) => {
  let place: Place;
  beforeAll(async () => {
    place = await open(GRAINS);
  });
  afterAll(() => place[Symbol.asyncDispose]());

  test.each([
    ['a grain that calls itself', ['Plain/self'], ['Plain/self', 'Plain/self']],
    ['two grains', ['Plain/b', 'Plain/a'], ['Plain/a', 'Plain/b', 'Plain/a']],
    ['the end of a chain', ['Plain/y', 'Plain/z', 'Plain/y'], ['Plain/y', 'Plain/z', 'Plain/y']],
    ['a reader and a writer', ['Plain/s/look', 'Plain/r/call'], ['Plain/r', 'Plain/s', 'Plain/r']],
  ])('fail at once and name the circle: %s', async (_what, route, cycle) => {
    const start = route.length === 3 ? 'x' : (cycle.at(-1) as string).slice('Plain/'.length);
    const error = await failure(place.grain(Plain, start).call(route));
    expect(error).toBeInstanceOf(DeadlockError);
    expect(error).toMatchObject({ code: 'DEADLOCK', cycle });
    expect(error.message).toContain(cycle.join(' → '));
    expect(await place.grain(Plain, start).call([])).toEqual([`Plain/${start}`]); // nobody is stuck
  });

  test("run in a class that is reentrant: 'callChain', while others still wait", async () => {
    const chained = place.grain(Chained, 'c');
    expect(await chained.call(['Plain/d', 'Chained/c', 'Chained/c'])).toEqual([
      'Chained/c',
      'Plain/d',
      'Chained/c',
      'Chained/c',
    ]);
    const at = (name: string) => `${_where} chained ${name}`;
    const first = chained.hold(at('1'));
    await stage.reached(at('1'));
    const other = chained.hold(at('2'));
    await chained.slip([]); // runs at once, so the other one has arrived
    expect(stage.visits(at('2'))).toBe(0);
    stage.release(at('1'), at('2'));
    await Promise.all([first, other]);
  });

  test('run through read-only and interleaving methods', async () => {
    const plain = place.grain(Plain, 'e');
    expect(await plain.look(['Plain/f', 'Plain/e/look'])).toHaveLength(3);
    expect(await plain.call(['Plain/f', 'Plain/e/slip'])).toHaveLength(3);
  });

  test('run through read-only methods also when a writer waits for the first of them', async () => {
    const at = `${_where} reader`;
    const plain = place.grain(Plain, 'g');
    const reader = plain.$with({ timeoutMs: 5_000 }).lookFrom(at, ['Plain/h', 'Plain/g/look']);
    await stage.reached(at);
    const writer = plain.call([]);
    await plain.slip([]); // runs at once, so the writer has arrived
    stage.release(at);
    expect(await reader).toHaveLength(3);
    expect(await writer).toEqual(['Plain/g']);
  });

  test('end by the limit on the depth of a chain when they never end by themselves', async () => {
    const route = Array.from({ length: LIMITS.chainDepth + 5 }, () => 'Chained/deep');
    const error = await failure(place.grain(Chained, 'deep').call(route));
    expect(error).toMatchObject({ code: 'OVERLOADED' });
    expect(error.message).toMatch(/chain is 64 calls deep/);
  });

  test('fail at once when two chains wait for each other: one is refused, the other goes on', async () => {
    const at = (name: string) => `${_where} mutual ${name}`;
    const options = { timeoutMs: 5_000 };
    const outcomes = await Promise.allSettled([
      place.grain(Plain, 'm').$with(options).meet(at('m'), at('n'), ['Plain/n']),
      place.grain(Plain, 'n').$with(options).meet(at('n'), at('m'), ['Plain/m']),
    ]);
    const errors = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason] : []));
    expect(errors).toHaveLength(1);
    expect(errors[0]).toMatchObject({ code: 'DEADLOCK' });
    expect(new Set(errors[0].cycle)).toEqual(new Set(['Plain/m', 'Plain/n']));
  });
});
