import { ActivationError, type DeactivationReason, Grain, grain, method, Silo, state } from 'granary';
import { TestCluster } from 'granary/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { failure, nextEvent, PLACES, type Place } from '../support/places.ts';
import { Stage } from '../support/stage.ts';

const stage = new Stage();
const log: string[] = [];
const of = (key: string) =>
  log.filter((line) => line.startsWith(`${key}: `)).map((line) => line.split(': ')[1]);

@grain({ idleMs: 60_000 })
class Diary extends Grain {
  @state() pages: string[] = ['preface'];

  override async onActivate(): Promise<void> {
    await Promise.resolve();
    log.push(`${this.key}: activate with ${this.pages.length}`);
  }

  override async onDeactivate(reason: DeactivationReason): Promise<void> {
    log.push(`${this.key}: deactivate ${reason}`);
    if (this.pages.includes('slow end')) await stage.hold(`${this.key} ending`);
    await this.save();
  }

  @method()
  async write(page: string): Promise<string[]> {
    log.push(`${this.key}: write`);
    this.pages.push(page);
    return this.pages;
  }

  @method()
  async close(): Promise<void> {
    this.context.deactivate();
    await Promise.resolve();
    log.push(`${this.key}: closed`);
  }

  @method()
  async life(): Promise<string> {
    return this.context.activationId;
  }
}

const trouble = { constructor: 0, activate: 0 };

@grain()
class Fragile extends Grain {
  readonly #made = this.#make();

  #make(): true {
    if (this.key === 'constructor' && trouble.constructor-- > 0) throw new TypeError('no instance');
    return true;
  }

  override async onActivate(): Promise<void> {
    await stage.hold('fragile');
    if (this.key === 'activate' && trouble.activate-- > 0) {
      throw new RangeError('no start', { cause: new Error('deeper') });
    }
  }

  @method()
  async works(): Promise<boolean> {
    return this.#made;
  }
}

@grain()
class Shy extends Grain {
  override async onActivate(): Promise<void> {
    this.context.deactivate();
  }

  @method()
  async works(): Promise<boolean> {
    return true;
  }
}

@grain({ idleMs: 40 })
class Brief extends Grain {
  override async onDeactivate(reason: DeactivationReason): Promise<void> {
    log.push(`${this.key}: deactivate ${reason}`);
  }

  @method()
  async life(keepMs = 0): Promise<string> {
    if (keepMs > 0) this.context.keepAlive(keepMs);
    return this.context.activationId;
  }
}

@grain({ idleMs: 20, keepAlive: true })
class Lasting extends Grain {
  @method()
  async life(): Promise<string> {
    return this.context.activationId;
  }
}

@grain()
class Stumbling extends Grain {
  override async onDeactivate(): Promise<void> {
    throw new Error('could not say goodbye');
  }

  @method()
  async close(): Promise<void> {
    this.context.deactivate();
  }
}

@grain()
class Selfish extends Grain {
  @method()
  async facts() {
    const { id, activationId, silo, request } = this.context;
    this.context.log.debug('facts');
    const chance = [this.context.random.next(), this.context.random.next()];
    const { key, keyParts } = this;
    const now = this.context.now();
    return { id, activationId, silo, request, now, chance, random: this.context.random.id(), key, keyParts };
  }
}

const GRAINS = [Diary, Fragile, Shy, Brief, Lasting, Stumbling, Selfish];

describe.each(PLACES)('an activation %s', (where, open) => {
  let place: Place;
  const key = (name: string) => `${name} ${where}`;
  beforeAll(async () => {
    place = await open(GRAINS);
  });
  afterAll(() => place[Symbol.asyncDispose]());

  test('runs onActivate before its first call, with the state loaded', async () => {
    const diary = place.grain(Diary, key('first'));
    expect(await Promise.all([diary.write('a'), diary.write('b')])).toHaveLength(2);
    expect(of(key('first'))).toEqual(['activate with 1', 'write', 'write']);
    await diary.close();
    expect(await diary.write('c')).toEqual(['preface', 'a', 'b', 'c']);
    expect(of(key('first')).slice(3)).toEqual(['closed', 'deactivate requested', 'activate with 3', 'write']);
  });

  test('that deactivates ends its turn first, and calls that come meanwhile see what it saved', async () => {
    const diary = place.grain(Diary, key('window'));
    await diary.write('slow end');
    const before = await diary.life();
    await diary.close();
    await stage.reached(`${key('window')} ending`);
    const late = diary.write('late');
    stage.release(`${key('window')} ending`);
    expect(await late).toEqual(['preface', 'slow end', 'late']);
    expect(await diary.life()).not.toBe(before);
  });

  test.each(['constructor', 'activate'] as const)(
    'whose %s throws fails the calls that wait, and is tried anew by the next call',
    async (part) => {
      const fragile = place.grain(Fragile, part);
      trouble[part] = 1;
      const calls = [fragile.works(), fragile.works(), fragile.works()];
      stage.release('fragile');
      const outcomes = await Promise.allSettled(calls);
      const errors = outcomes.flatMap((each) => (each.status === 'rejected' ? [each.reason] : []));
      expect(errors.length).toBeGreaterThanOrEqual(part === 'activate' ? 3 : 1);
      for (const error of errors) {
        expect(error).toBeInstanceOf(ActivationError);
        expect(error).toMatchObject({ code: 'ACTIVATION_FAILED', grain: `Fragile/${part}` });
        expect(error.cause).toBeInstanceOf(part === 'activate' ? RangeError : TypeError);
        expect(error.message).toContain(part === 'activate' ? 'no start' : 'no instance');
      }
      if (part === 'activate') expect(errors[0].cause.cause.message).toBe('deeper');
      expect(await fragile.works()).toBe(true);
    },
  );

  test('that deactivates itself while it activates does not go round for ever', async () => {
    const works = place.grain(Shy, 's').$with({ timeoutMs: 2_000 }).works();
    expect(await works.catch((error) => error.code)).toSatisfy(
      (outcome) => outcome === true || outcome === 'ACTIVATION_FAILED',
    );
  });

  test('is collected when it was idle for idleMs, and told so', async () => {
    const brief = place.grain(Brief, key('idle'));
    const gone = nextEvent(place, 'activationGone', (event) => event.grain === `Brief/${key('idle')}`);
    const first = await brief.life();
    expect(await gone).toMatchObject({ activationId: first, reason: 'idle' });
    expect(of(key('idle'))).toEqual(['deactivate idle']);
    expect(await brief.life()).not.toBe(first);
  });

  test('is not collected while it is kept alive for a time, or when its class never is', async () => {
    const kept = place.grain(Brief, key('kept'));
    const lasting = place.grain(Lasting, key('lasting'));
    const first = [await kept.life(30_000), await lasting.life()];
    for (const other of ['other 1', 'other 2', 'other 3']) {
      const gone = nextEvent(place, 'activationGone', (event) => event.grain === `Brief/${key(other)}`);
      await place.grain(Brief, key(other)).life();
      await gone; // of the same age or younger
    }
    expect([await kept.life(), await lasting.life()]).toEqual(first);
  });

  test('ends even when onDeactivate throws, which shows as an event', async () => {
    const failed = nextEvent(place, 'hookFailed');
    await place.grain(Stumbling, 's').close();
    expect(await failed).toMatchObject({ grain: 'Stumbling/s', hook: 'onDeactivate' });
    await place.grain(Stumbling, 's').close();
  });

  test('knows itself', async () => {
    const before = Date.now();
    const facts = await place.grain(Selfish, ['a/b', 7]).facts();
    expect(facts).toMatchObject({
      id: 'Selfish/a%2Fb/7',
      keyParts: ['a/b', '7'],
      key: 'a%2Fb/7',
      request: {},
    });
    expect(facts.activationId).toMatch(/^\w{16}$/);
    expect(facts.random).toMatch(/^\w{16}$/);
    expect(facts.now).toBeGreaterThanOrEqual(before);
    expect(facts.now).toBeLessThanOrEqual(Date.now());
    for (const number of facts.chance) expect(number >= 0 && number < 1).toBe(true);
    expect((await place.grain(Selfish, 'plain key').facts()).key).toBe('plain key');
  });
});

describe('when a silo stops', () => {
  test('its activations are told, and finish the turns that run', async () => {
    const silo = await Silo.start({ grains: GRAINS, log: 'silent' });
    await silo.grain(Diary, 'shutdown').write('x');
    await silo.stop();
    expect(of('shutdown')).toEqual(['activate with 1', 'write', 'deactivate shutdown']);
    expect(await failure(silo.grain(Diary, 'shutdown').life())).toMatchObject({ code: 'SILO_UNAVAILABLE' });
    await silo.stop();
  });

  test('`await using` stops it', async () => {
    let stopped = false;
    {
      await using silo = await Silo.start({ grains: GRAINS, log: 'silent' });
      silo.subscribe((event) => {
        stopped ||= event.type === 'siloStopped';
      });
    }
    expect(stopped).toBe(true);
  });

  test('a call chain that comes back to a grain which is leaving still ends', async () => {
    await using cluster = await TestCluster.start({ grains: [Chief, Clerk] });
    const chief = cluster.grain(Chief, 'c');
    const call = chief.$with({ timeoutMs: 5_000 }).ask('leaving');
    await stage.reached('leaving');
    const silo = cluster.activationsOf(Chief, 'c')[0]?.silo as string;
    const settled = nextEvent(cluster.silo(silo), 'eraSettled');
    const leaving = cluster.stop(silo);
    await settled; // without it: from here on its activations end
    await new Promise(setImmediate);
    stage.release('leaving');
    expect(await call).toBe('the answer');
    await leaving;
  });
});

@grain({ reentrant: 'callChain' })
class Chief extends Grain {
  @method()
  async ask(place: string): Promise<string> {
    await stage.hold(place);
    return this.grain(Clerk, 'k').find(this.key);
  }

  @method()
  async answer(): Promise<string> {
    return 'the answer';
  }
}

@grain()
class Clerk extends Grain {
  @method()
  async find(chief: string): Promise<string> {
    return this.grain(Chief, chief).answer();
  }
}

describe('when two activations meet after a split', () => {
  test('the one that yields is told', async () => {
    await using cluster = await TestCluster.start({ grains: GRAINS, silos: ['a', 'b'] });
    cluster.partition(['a'], ['b']);
    await cluster.settled();
    await Promise.all([
      cluster.silo('a').grain(Brief, 'both').life(30_000),
      cluster.silo('b').grain(Brief, 'both').life(30_000),
    ]);
    expect(cluster.activationsOf(Brief, 'both')).toHaveLength(2);
    cluster.heal();
    await cluster.settled();
    await expect.poll(() => cluster.activationsOf(Brief, 'both')).toHaveLength(1);
    expect(of('both')).toEqual(['deactivate conflict']);
  });
});
