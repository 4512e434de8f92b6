import {
  type DeactivationReason,
  Grain,
  type GrainRef,
  type GrainStore,
  grain,
  LIMITS,
  memory,
  method,
  type RecordId,
  Silo,
  state,
} from 'granary';
import { describe, expect, test } from 'vitest';
import { failure, nextEvent, PLACES } from '../support/places.ts';

const ran: string[] = [];
const reasons: string[] = [];
/** What a turn waits for, by the name that it was given. */
const gates = new Map<string, { open(): void; readonly opened: Promise<void>; reached(): void }>();

function gate(name: string): { readonly reached: Promise<void>; open(): void } {
  let reached = () => {};
  let open = () => {};
  const arrival = new Promise<void>((resolve) => {
    reached = resolve;
  });
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  gates.set(name, { open, opened, reached });
  return { reached: arrival, open };
}

@grain({ idempotencyKeys: 3 })
class Till extends Grain {
  @state() cents = 0;
  @state() notes: string[] = [];
  @state({ name: 'audit' }) entries = 0;

  override async onDeactivate(reason: DeactivationReason): Promise<void> {
    reasons.push(`${this.key} ${reason}`);
    if (this.key.startsWith('saves at the end')) await this.save();
  }

  @method()
  async put(cents: number, options: { save?: boolean; fail?: 'before' | 'after'; wait?: string } = {}) {
    ran.push(`${this.key} ${cents}`);
    if (options.fail === 'before') throw new RangeError('refused');
    this.cents += cents;
    if (options.save !== false) await this.save();
    if (options.wait) {
      gates.get(options.wait)?.reached();
      await gates.get(options.wait)?.opened;
    }
    if (options.fail === 'after') throw new RangeError('broken');
    return { total: this.cents };
  }

  @method()
  async take(cents: number): Promise<number> {
    this.cents -= cents;
    return this.cents;
  }

  /** May run beside a call with a key. */
  @method({ interleave: true })
  async note(text: string): Promise<string[]> {
    this.notes.push(text);
    await this.save();
    return this.notes;
  }

  @method({ readOnly: true })
  async total(): Promise<number> {
    return this.cents;
  }

  @method()
  async *all(): AsyncGenerator<number> {
    yield this.cents;
  }

  @method()
  async audit(): Promise<void> {
    this.entries++;
    await this.save('audit');
  }

  @method({ interleave: true })
  async refresh(): Promise<void> {
    await this.reload();
  }

  @method()
  async again(): Promise<void> {
    await this.reload();
  }

  @method()
  async empty(): Promise<number> {
    await this.clear();
    return this.cents;
  }

  @method()
  async unfit(): Promise<void> {
    this.cents++;
    this.notes = [(() => {}) as never];
  }

  @method()
  async long(bytes: number): Promise<string> {
    this.cents++;
    return 'x'.repeat(bytes);
  }

  @method()
  async life(): Promise<string> {
    return this.context.activationId;
  }

  @method()
  async close(): Promise<void> {
    this.context.deactivate();
  }
}

@grain({ placement: { workers: 1 } })
class Worker extends Grain {
  @method() async run(): Promise<void> {}
}

@grain()
class Forgetful extends Grain {
  @state({ name: 'other' }) a = 1;
  @method() async run(): Promise<void> {}
}

@grain({ reentrant: 'callChain' })
class Chained extends Grain {
  @state() a = 1;
  @method() async run(): Promise<void> {}
}

const GRAINS = [Till, Worker, Forgetful, Chained];

/** Notes what is written, and fails once when it is told to. */
class Watched implements GrainStore {
  readonly #store = memory();
  failNext: 'before write' | 'after write' | undefined;
  writes: string[] = [];
  /** What the next read waits for after it has read. */
  holdRead: { reached(): void; readonly opened: Promise<void> } | undefined;

  open = () => this.#store.open();
  close = () => this.#store.close();
  clear = (id: RecordId, etag: string | undefined) => this.#store.clear(id, etag);

  async read(id: RecordId) {
    const record = await this.#store.read(id);
    const hold = this.holdRead;
    this.holdRead = undefined;
    hold?.reached();
    await hold?.opened;
    return record;
  }

  async write(id: RecordId, data: Uint8Array, etag: string | undefined): Promise<string> {
    this.#fail('before write');
    const next = await this.#store.write(id, data, etag);
    this.writes.push(`${id.key}/${id.name}`);
    this.#fail('after write');
    return next;
  }

  #fail(when: NonNullable<Watched['failNext']>): void {
    if (this.failNext !== when) return;
    this.failNext = undefined;
    throw new Error(`the disk is on fire (${when})`);
  }
}

const runsOf = (key: string) => ran.filter((each) => each.startsWith(`${key} `)).length;
const keyed = (till: GrainRef<Till>, idempotencyKey: string) => till.$with({ idempotencyKey });

describe.each(PLACES)('a call with an idempotency key %s', (where, open) => {
  const named = (name: string) => `${name}, ${where.slice(0, 8)}`;

  test('takes effect once and always has the same answer, in later activations too', async () => {
    await using place = await open(GRAINS, { stores: { default: memory() } });
    const key = named('once');
    const till = place.grain(Till, key);
    expect(await keyed(till, 'order-77').put(5)).toEqual({ total: 5 });
    await till.put(100);
    expect(await keyed(till, 'order-77').put(5)).toEqual({ total: 5 });
    await till.close();
    expect(await keyed(till, 'order-77').put(5)).toEqual({ total: 5 });
    expect(await keyed(till, 'order-78').put(5)).toEqual({ total: 110 });
    expect(runsOf(key)).toBe(3);
    expect(await till.total()).toBe(110);
  });

  test('made many times at once, takes effect once', async () => {
    await using place = await open(GRAINS, { stores: { default: memory() } });
    const key = named('at once');
    const till = place.grain(Till, key);
    const calls = Array.from({ length: 20 }, () => keyed(till, 'k').put(1));
    expect(new Set((await Promise.all(calls)).map(({ total }) => total))).toEqual(new Set([1]));
    expect([runsOf(key), await till.total()]).toEqual([1, 1]);
  });

  test('is one write: what it saves is stored when it has ended, with its answer', async () => {
    const store = new Watched();
    await using place = await open(GRAINS, { stores: { default: store } });
    const key = named('one write');
    const till = place.grain(Till, key);
    const { reached, open: go } = gate(key);
    const call = keyed(till, 'k').put(5, { wait: key });
    await reached;
    expect(store.writes).toEqual([]); // though it has called save()
    go();
    await call;
    expect(store.writes).toHaveLength(1);
    await keyed(till, 'k').put(5, { wait: key });
    expect(store.writes).toHaveLength(1); // the answer was there
    expect(await keyed(till, 'l').put(1, { save: false })).toEqual({ total: 6 });
    expect(store.writes).toHaveLength(2); // though it has not called save()
    await till.close();
    expect(await till.total()).toBe(6);
  });

  test('with the key of another call is refused by name, and does not run', async () => {
    await using place = await open(GRAINS, { stores: { default: memory() } });
    const till = place.grain(Till, named('reused'));
    await keyed(till, 'k').put(5);
    const reused = { name: 'IdempotencyKeyReusedError', code: 'IDEMPOTENCY_KEY_REUSED', retryable: false };
    const others = [failure(keyed(till, 'k').put(6)), failure(keyed(till, 'k').take(5))];
    for (const error of await Promise.all(others)) expect(error).toMatchObject(reused);
    expect((await others[0])?.message).toMatch(/\.put: the idempotency key 'k' .* with other arguments/);
    expect((await others[1])?.message).toMatch(/\.take: the idempotency key 'k' belongs to a call of put/);
    expect(await till.total()).toBe(5);
    // A key is one grain's own.
    expect(await keyed(place.grain(Till, named('another')), 'k').take(5)).toBe(-5);
  });

  test('that throws has changed nothing, and runs when it is made again', async () => {
    await using place = await open(GRAINS, { stores: { default: memory() } });
    for (const how of ['saves at the end', 'does not save']) {
      const key = named(how);
      const till = place.grain(Till, key);
      await keyed(till, 'a').put(5);
      const life = await till.life();
      expect(await failure(keyed(till, 'k').put(1, { fail: 'before' }))).toBeInstanceOf(RangeError);
      expect(await till.life()).toBe(life); // nothing had changed, so nothing has to be undone
      const gone = nextEvent(place, 'activationGone');
      expect(await failure(keyed(till, 'l').put(1, { fail: 'after' }))).toBeInstanceOf(RangeError);
      expect(await gone).toMatchObject({ activationId: life, reason: 'keyedCallFailed' });
      expect(reasons).toContain(`${key} keyedCallFailed`);
      expect(await till.total()).toBe(5);
      for (const k of ['k', 'l']) await keyed(till, k).put(1);
      expect(await till.total()).toBe(7);
    }
  });

  test.each(['before write', 'after write'] as const)(
    'whose store fails %s is safe to be made again',
    async (when) => {
      const store = new Watched();
      await using place = await open(GRAINS, { stores: { default: store } });
      const till = place.grain(Till, named(when));
      await keyed(till, 'a').put(5);
      store.failNext = when;
      expect(await failure(keyed(till, 'k').put(1))).toMatchObject({ code: 'STORE_FAILED', retryable: true });
      expect(await keyed(till, 'k').put(1)).toEqual({ total: 6 });
      expect(await keyed(till, 'k').put(1)).toEqual({ total: 6 });
      expect(await till.total()).toBe(6);
    },
  );

  test('may be one-way', async () => {
    await using place = await open(GRAINS, { stores: { default: memory() } });
    const till = place.grain(Till, named('one-way'));
    const send = till.$with({ idempotencyKey: 'k', oneWay: true });
    for (let n = 0; n < 3; n++) await send.put(5);
    expect(await keyed(till, 'k').put(5)).toEqual({ total: 5 });
  });

  test.each([
    ['readOnly', (till: GrainRef<Till>) => keyed(till, 'k').total(), /it is read-only/],
    ['interleave', (till: GrainRef<Till>) => keyed(till, 'k').note('n'), /it may run beside others/],
    ['a stream', async (till: GrainRef<Till>) => keyed(till, 'k').all().next(), /it is a stream/],
  ])('of a method that is %s is refused by name', async (_what, call, message) => {
    await using place = await open(GRAINS, { stores: { default: memory() } });
    const error = await failure(call(place.grain(Till, 'unfit')));
    expect(error).toMatchObject({ code: 'INVALID_CONFIG', grain: 'Till/unfit' });
    expect(error.message).toMatch(/cannot be called with an idempotencyKey: /);
    expect(error.message).toMatch(message);
  });

  test.each([
    ['worker', Worker, /stateless worker/],
    ["class without the record 'state'", Forgetful, /no record 'state'/],
    ['class that lets calls back in', Chained, /it may run beside others/],
  ])('of a %s is refused by name', async (_what, Class, message) => {
    await using place = await open(GRAINS, { stores: { default: memory() } });
    const ref = place.grain<Chained>(Class as typeof Chained, 'x');
    const error = await failure(ref.$with({ idempotencyKey: 'k' }).run());
    expect(error.message).toMatch(message);
    await ref.run();
  });
});

/** Whatever does not wait has happened. */
const nextTurn = () => new Promise((resolve) => setImmediate(resolve));

/** A turn of `note` has begun, and nothing is left of it that does not wait. */
function noteBegins(silo: Silo): Promise<void> {
  return new Promise((resolve) => {
    const stop = silo.subscribe((event) => {
      if (event.type !== 'turnStarted' || event.method !== 'note') return;
      stop();
      setImmediate(resolve);
    });
  });
}

describe('in a call with an idempotency key', () => {
  const start = (store: GrainStore = memory()) =>
    Silo.start({ grains: GRAINS, stores: { default: store }, log: 'silent' });

  test('another record is not saved, and nothing is reloaded: both are refused by name', async () => {
    const store = new Watched();
    await using silo = await start(store);
    const till = silo.grain(Till, 'others');
    expect((await failure(keyed(till, 'k').audit())).message).toMatch(
      /^Till\/others: save\('audit'\) in a call with an idempotency key: it may only save\(\)/,
    );
    expect((await failure(keyed(till, 'k').again())).message).toMatch(/reload\('state'\) in a call/);
    expect(store.writes).toEqual([]);
    await till.audit();
    await till.again();
  });

  test('clear() gives the fields their defaults, and the record stays for its answers', async () => {
    await using silo = await start();
    const till = silo.grain(Till, 'cleared');
    await keyed(till, 'a').put(5);
    expect(await keyed(till, 'k').empty()).toBe(0);
    await till.put(1);
    expect(await keyed(till, 'k').empty()).toBe(0);
    expect(await keyed(till, 'a').put(5)).toEqual({ total: 5 });
    expect(await till.total()).toBe(1);
    await till.empty(); // without a key, the record and all that it keeps
    expect(await keyed(till, 'a').put(7)).toEqual({ total: 7 });
  });

  test('what cannot be stored is refused by name, and has had no effect', async () => {
    await using silo = await start();
    const till = silo.grain(Till, 'unfit');
    expect(await failure(keyed(till, 'k').unfit())).toMatchObject({
      code: 'NOT_SERIALIZABLE',
      path: 'state.notes[0]',
    });
    expect(await failure(keyed(till, 'k').long(LIMITS.keptAnswerBytes))).toMatchObject({
      code: 'PAYLOAD_TOO_LARGE',
      grain: 'Till/unfit',
    });
    expect(await till.total()).toBe(0);
    expect(await keyed(till, 'k').put(1)).toEqual({ total: 1 });
  });

  test('a call beside it that saves waits for its end, and saves what it has committed', async () => {
    const store = new Watched();
    await using silo = await start(store);
    const till = silo.grain(Till, 'beside');
    const { reached, open: go } = gate('beside');
    const put = keyed(till, 'k').put(5, { wait: 'beside' });
    await reached;
    const begun = noteBegins(silo);
    const note = till.note('n');
    await begun;
    let noted = false;
    void note.then(() => {
      noted = true;
    });
    expect([noted, store.writes]).toEqual([false, []]);
    go();
    expect([await put, await note]).toEqual([{ total: 5 }, ['n']]);
    expect(store.writes).toHaveLength(2);
    await till.close();
    expect([await till.total(), await keyed(till, 'k').put(5, { wait: 'beside' })]).toEqual([
      5,
      { total: 5 },
    ]);
  });

  test('what a reload beside it finds is known before it begins, also an answer for its key', async () => {
    const store = new Watched();
    await using here = await start(store);
    await using there = await start(store); // a side of a split: they do not know of each other
    await here.grain(Till, 'split').put(0);
    await keyed(there.grain(Till, 'split'), 'k').put(5);
    const { reached, open: go } = gate('reload');
    store.holdRead = gates.get('reload');
    const refreshed = here.grain(Till, 'split').refresh();
    await reached;
    const again = keyed(here.grain(Till, 'split'), 'k').put(5);
    await nextTurn();
    go();
    await refreshed;
    expect(await again).toEqual({ total: 5 });
    expect(await here.grain(Till, 'split').total()).toBe(5);
  });

  test('a call beside it does not save what it has changed and taken back', async () => {
    const store = new Watched();
    await using silo = await start(store);
    const till = silo.grain(Till, 'taken back');
    const { reached, open: go } = gate('taken back');
    const put = failure(keyed(till, 'k').put(5, { wait: 'taken back', fail: 'after' }));
    await reached;
    const begun = noteBegins(silo);
    const note = failure(till.note('n'));
    await begun;
    go();
    expect(await put).toBeInstanceOf(RangeError);
    expect(await note).toMatchObject({ code: 'STORE_FAILED', grain: 'Till/taken back' });
    expect([store.writes, await till.total()]).toEqual([[], 0]);
  });
});

describe('of the answers for idempotency keys', () => {
  test('a grain keeps as many as its class says, and a call made again after that runs again', async () => {
    await using silo = await Silo.start({ grains: GRAINS, log: 'silent' });
    const till = silo.grain(Till, 'bounded');
    for (const key of ['a', 'b', 'c']) await keyed(till, key).put(1);
    expect(await keyed(till, 'a').put(1)).toEqual({ total: 1 });
    await keyed(till, 'd').put(1); // the fourth: `a` is forgotten
    expect(await keyed(till, 'b').put(1)).toEqual({ total: 2 });
    expect(await keyed(till, 'a').put(1)).toEqual({ total: 5 });
  });

  test('those of another version of the class stay', async () => {
    const stores = { default: memory() };
    {
      await using silo = await Silo.start({ grains: GRAINS, stores, log: 'silent' });
      await keyed(silo.grain(Till, 'v'), 'k').put(5);
    }
    @grain({ name: 'Till' })
    class Later extends Grain {
      @state({
        version: 2,
        migrate: { 2: ({ cents, ...rest }) => ({ ...rest, euros: Number(cents) / 100 }) },
      })
      euros = 0;

      @method() async put(_cents: number): Promise<{ total: number }> {
        throw new Error('must not run');
      }

      @method() async touch(): Promise<void> {
        await this.save();
        this.context.deactivate();
      }
    }
    await using silo = await Silo.start({ grains: [Later], stores, log: 'silent' });
    const till = silo.grain(Later, 'v');
    for (let n = 0; n < 2; n++) {
      expect(await till.$with({ idempotencyKey: 'k' }).put(5)).toEqual({ total: 5 });
      await till.touch();
    }
  });

  test('a silo with interceptors asks them each time, before an old answer is given', async () => {
    const seen: string[] = [];
    let open = true;
    await using silo = await Silo.start({
      grains: GRAINS,
      log: 'silent',
      interceptors: {
        incoming: [
          async (call, next) => {
            seen.push(call.method);
            if (!open) throw new Error('not you');
            return next();
          },
        ],
      },
    });
    const till = silo.grain(Till, 'guarded');
    expect(await keyed(till, 'k').put(5)).toEqual({ total: 5 });
    expect(await keyed(till, 'k').put(5)).toEqual({ total: 5 });
    open = false;
    expect((await failure(keyed(till, 'k').put(5))).message).toBe('not you');
    expect([seen.length, runsOf('guarded')]).toEqual([3, 1]);
  });
});

test.each(['', 'x'.repeat(LIMITS.idempotencyKeyChars + 1), 7, null])(
  'an idempotency key that is none (%#) is refused where it is given',
  async (idempotencyKey) => {
    await using silo = await Silo.start({ grains: GRAINS, log: 'silent' });
    const till = silo.grain(Till, 'x');
    expect(() => till.$with({ idempotencyKey: idempotencyKey as string })).toThrow(
      /^Till\/x\.\$with\(\): idempotencyKey must be a text of 1 to 256 characters/,
    );
  },
);

test('an observer is not called with a key: it keeps nothing', async () => {
  await using silo = await Silo.start({ grains: GRAINS, log: 'silent' });
  const observer = silo.observe({ hear: () => {} });
  expect(() => observer.$with({ idempotencyKey: 'k' })).toThrow(/an observer keeps no answers/);
});

test.each([0, 1.5, 10_001])(
  'a class that would keep %d answers is refused by name',
  async (idempotencyKeys) => {
    @grain({ idempotencyKeys })
    class Wrong extends Grain {
      @method() async run(): Promise<void> {}
    }
    await expect(Silo.start({ grains: [Wrong], log: 'silent' })).rejects.toThrow(
      /class Wrong: @grain: idempotencyKeys is /,
    );
  },
);
