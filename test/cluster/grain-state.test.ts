import {
  type DeactivationReason,
  Grain,
  type GrainRef,
  type GrainStore,
  grain,
  memory,
  method,
  type RecordId,
  Silo,
  StateConflictError,
  StoreError,
  state,
} from 'granary';
import { describe, expect, test } from 'vitest';
import { failure, nextEvent, PLACES } from '../support/places.ts';

const reasons: string[] = [];

@grain()
class Account extends Grain {
  @state() balance = 0;
  @state() owner: string | undefined;
  @state({ name: 'audit' }) entries: string[] = ['opened'];
  @state({ name: 'far', store: 'second' }) seen = new Map<string, Date>();
  unsaved = 'fresh';

  override async onDeactivate(reason: DeactivationReason): Promise<void> {
    reasons.push(`${this.key} ${reason}`);
  }

  @method()
  async add(amount: number, save = true): Promise<number> {
    this.balance += amount;
    this.unsaved = 'used';
    if (save) await this.save();
    return this.balance;
  }

  @method()
  async note(entry: string): Promise<string[]> {
    this.entries.push(entry);
    this.seen.set(entry, new Date(7));
    await Promise.all([this.save('audit'), this.save('far')]);
    return this.entries;
  }

  @method()
  async all() {
    const { balance, owner, entries, seen, unsaved } = this;
    return { balance, owner, entries, seen, unsaved };
  }

  @method()
  async etags(): Promise<(string | undefined)[]> {
    return ['state', 'audit', 'far'].map((record) => this.context.etag(record));
  }

  @method()
  async reset(): Promise<void> {
    await this.clear();
  }

  @method()
  async again(): Promise<void> {
    await this.reload();
  }

  @method()
  async saveTwice(): Promise<number> {
    this.balance = 1;
    const first = this.save();
    this.balance = 2; // belongs to the second save
    await Promise.all([first, this.save()]);
    return this.balance;
  }

  @method()
  async saveUnfit(): Promise<void> {
    this.owner = (() => {}) as never;
    await this.save();
  }

  @method()
  async saveUnknown(): Promise<void> {
    await this.save('ledger');
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

@grain({ name: 'Growing' })
class Before extends Grain {
  @state() kept = 'default';
  @state() dropped = 'default';

  @method()
  async set(kept: string): Promise<void> {
    this.kept = kept;
    await this.save();
  }
}

@grain({ name: 'Growing' })
class After extends Grain {
  @state() kept = 'default';
  @state() added = { since: 'v2' };

  @method()
  async get() {
    return { kept: this.kept, added: this.added };
  }
}

@grain({ store: 'second' })
class Contacts extends Grain {
  @state() friend: GrainRef<Account> | undefined;

  @method()
  async befriend(friend: GrainRef<Account>): Promise<void> {
    this.friend = friend;
    await this.save();
    this.context.deactivate();
  }

  @method()
  async give(amount: number): Promise<number | undefined> {
    return this.friend?.add(amount);
  }
}

@grain()
class Stateless extends Grain {
  @method()
  async trySave(): Promise<void> {
    await this.save();
  }
}

const GRAINS = [Account, Contacts, Stateless];

/** A store in which things go wrong. */
class Unreliable implements GrainStore {
  readonly #store = memory();
  failNext: 'read' | 'before write' | 'after write' | undefined;
  reads = 0;

  open(): Promise<void> {
    return this.#store.open();
  }

  async read(id: RecordId) {
    this.reads++;
    this.#fail('read');
    return this.#store.read(id);
  }

  async write(id: RecordId, data: Uint8Array, etag: string | undefined): Promise<string> {
    this.#fail('before write');
    const next = await this.#store.write(id, data, etag);
    this.#fail('after write');
    return next;
  }

  clear(id: RecordId, etag: string | undefined): Promise<void> {
    return this.#store.clear(id, etag);
  }

  close(): Promise<void> {
    return this.#store.close();
  }

  #fail(when: NonNullable<Unreliable['failNext']>): void {
    if (this.failNext !== when) return;
    this.failNext = undefined;
    throw new Error(`the disk is on fire (${when})`);
  }
}

describe.each(PLACES)('the state of a grain %s', (_where, open) => {
  const stores = () => ({ default: memory(), second: memory() });

  test('has its defaults first, and after that what was saved last', async () => {
    await using place = await open(GRAINS, { stores: stores() });
    const account = place.grain(Account, 'a');
    const fresh = { balance: 0, owner: undefined, entries: ['opened'], seen: new Map(), unsaved: 'fresh' };
    expect(await account.all()).toEqual(fresh);
    await account.add(5);
    await account.add(7, false);
    await account.close();
    expect(await account.all()).toEqual({ ...fresh, balance: 5 });
    await account.note('paid');
    await account.close();
    const seen = new Map([['paid', new Date(7)]]);
    expect(await account.all()).toEqual({ ...fresh, balance: 5, entries: ['opened', 'paid'], seen });
    expect((await place.grain(Account, 'b').all()).balance).toBe(0);
  });

  test('is kept in records with an etag each, in the stores that the class names', async () => {
    const { default: first, second } = stores();
    await using place = await open(GRAINS, { stores: { default: first, second } });
    const account = place.grain(Account, 'x/y');
    expect(await account.etags()).toEqual([undefined, undefined, undefined]);
    await account.note('n');
    const [none, audit, far] = await account.etags();
    expect([none, typeof audit, typeof far]).toEqual([undefined, 'string', 'string']);
    const record = (name: string) => ({ type: 'Account', key: 'x%2Fy', name });
    expect(await first.read(record('state'))).toBeUndefined();
    expect((await first.read(record('audit')))?.etag).toBe(audit);
    expect((await second.read(record('far')))?.etag).toBe(far);
    expect(await first.read(record('far'))).toBeUndefined();
  });

  test('can be cleared and reloaded', async () => {
    await using place = await open(GRAINS, { stores: stores() });
    const account = place.grain(Account, 'a');
    await account.add(5);
    await account.add(1, false);
    await account.again();
    expect((await account.all()).balance).toBe(5);
    await account.reset();
    expect((await account.all()).balance).toBe(0);
    expect(await account.etags()).toEqual([undefined, undefined, undefined]);
    expect(await account.add(2)).toBe(2);
    await account.close();
    expect((await account.all()).balance).toBe(2);
  });

  test('is written as it is when `save` is called, one write after the other', async () => {
    await using place = await open(GRAINS, { stores: stores() });
    const account = place.grain(Account, 'twice');
    expect(await account.saveTwice()).toBe(2);
    await account.close();
    expect((await account.all()).balance).toBe(2);
  });

  test('may hold references, which work after they were loaded', async () => {
    await using place = await open(GRAINS, { stores: stores() });
    const contacts = place.grain(Contacts, 'c');
    await contacts.befriend(place.grain(Account, 'friend'));
    expect(await contacts.give(3)).toBe(3);
    expect((await place.grain(Account, 'friend').all()).balance).toBe(3);
  });

  test('that cannot be saved is refused by name, and the activation goes on', async () => {
    await using place = await open(GRAINS, { stores: stores() });
    const account = place.grain(Account, 'unfit');
    const life = await account.life();
    expect(await failure(account.saveUnfit())).toMatchObject({
      code: 'NOT_SERIALIZABLE',
      path: 'state.owner',
    });
    const unknown = await failure(account.saveUnknown());
    expect(unknown).toBeInstanceOf(TypeError);
    expect(unknown.message).toMatch(/Account\/unfit has no record 'ledger'.*'state', 'audit', 'far'/);
    const none = await failure(place.grain(Stateless, 's').trySave());
    expect(none.message).toMatch(/Stateless\/s has no record 'state'.*@state\(\)/);
    expect(await account.life()).toBe(life);
  });
});

describe('records of another version of the class', () => {
  test('give a field that they do not have its default, and drop what the class has not', async () => {
    const stores = { default: memory() };
    {
      await using old = await Silo.start({ grains: [Before], stores, log: 'silent' });
      await old.grain(Before, 'k').set('saved');
    }
    await using silo = await Silo.start({ grains: [After], stores, log: 'silent' });
    expect(await silo.grain(After, 'k').get()).toEqual({ kept: 'saved', added: { since: 'v2' } });
  });
});

describe('two activations of one grain on one store', () => {
  async function twoClusters() {
    const stores = { default: memory(), second: memory() };
    const start = () => Silo.start({ grains: GRAINS, stores, log: 'silent' });
    return [await start(), await start()] as const;
  }

  test('never overwrite each other: one gets StateConflictError and starts anew', async () => {
    const [one, other] = await twoClusters();
    await using _one = one;
    await using _other = other;
    const [here, there] = [one.grain(Account, 'shared'), other.grain(Account, 'shared')];
    await here.add(1);
    expect((await there.all()).balance).toBe(1);
    const loser = await there.life();
    await here.add(10);
    const gone = nextEvent(other, 'activationGone');
    const error = await failure(there.add(100));
    expect(error).toBeInstanceOf(StateConflictError);
    expect(error).toMatchObject({ code: 'STATE_CONFLICT', retryable: true });
    expect(await gone).toMatchObject({ activationId: loser, reason: 'stateConflict' });
    expect(reasons).toContain('shared stateConflict');
    expect(await there.add(100)).toBe(111);
    expect(await there.life()).not.toBe(loser);
  });

  test('lose none of the writes that were acknowledged', async () => {
    const [one, other] = await twoClusters();
    await using _one = one;
    await using _other = other;
    let acknowledged = 0;
    const work = async (silo: Silo) => {
      for (let i = 0; i < 60; i++) {
        const outcome = await silo
          .grain(Account, 'busy')
          .add(1)
          .catch((error) => error);
        if (typeof outcome === 'number') acknowledged++;
        else expect(outcome).toMatchObject({ code: 'STATE_CONFLICT' });
        if (i % 7 === 0) await new Promise(setImmediate);
      }
    };
    await Promise.all([work(one), work(one), work(other), work(other)]);
    await one.grain(Account, 'busy').close();
    expect((await one.grain(Account, 'busy').all()).balance).toBe(acknowledged);
    expect(acknowledged).toBeGreaterThan(10);
  });
});

describe('a store that fails', () => {
  async function withStore() {
    const store = new Unreliable();
    const stores = { default: store, second: memory() };
    return { store, silo: await Silo.start({ grains: GRAINS, stores, log: 'silent' }) };
  }

  test.each([
    ['after write', 5],
    ['before write', 0],
  ] as const)(
    '%s: the outcome is unknown to the caller, and the next call sees the truth',
    async (when, truth) => {
      const { store, silo } = await withStore();
      await using _ = silo;
      const account = silo.grain(Account, 'a');
      const life = await account.life();
      store.failNext = when;
      const error = await failure(account.add(5));
      expect(error).toBeInstanceOf(StoreError);
      expect(error).toMatchObject({ code: 'STORE_FAILED', retryable: true, grain: 'Account/a' });
      expect((error.cause as Error).message).toMatch(/on fire/);
      expect((await account.all()).balance).toBe(truth);
      expect(await account.life()).not.toBe(life);
    },
  );

  test('read: the activation fails, and never takes its place with fresh state', async () => {
    const { store, silo } = await withStore();
    await using _ = silo;
    const account = silo.grain(Account, 'a');
    await account.add(5);
    await account.close();
    store.failNext = 'read';
    const calls = await Promise.allSettled([account.all(), account.all()]);
    for (const call of calls)
      expect(call).toMatchObject({ status: 'rejected', reason: { code: 'STORE_FAILED' } });
    expect((await account.all()).balance).toBe(5);
  });

  test('and a record that cannot be read: the same', async () => {
    const { store, silo } = await withStore();
    await using _ = silo;
    const id = { type: 'Account', key: 'torn', name: 'state' };
    const etag = await store.write(id, new Uint8Array([1, 0xc1, 0xff]), undefined);
    const error = await failure(silo.grain(Account, 'torn').all());
    expect(error).toMatchObject({ code: 'STORE_FAILED', grain: 'Account/torn' });
    expect(error.message).toMatch(/record 'state' cannot be read/);
    await store.write(id, new Uint8Array([99]), etag);
    expect((await failure(silo.grain(Account, 'torn').all())).message).toMatch(/format 99/);
  });

  test('write in onActivate: the waiting calls fail once, and the store is not asked for ever', async () => {
    const store = new Unreliable();
    await using silo = await Silo.start({ grains: [Eager], stores: { default: store }, log: 'silent' });
    store.failNext = 'before write';
    const error = await failure(silo.grain(Eager, 'e').ready());
    expect(error).toMatchObject({ code: expect.stringMatching(/STORE_FAILED|ACTIVATION_FAILED/) });
    expect(store.reads).toBe(1);
    expect(await silo.grain(Eager, 'e').ready()).toBe(1);
  });
});

@grain()
class Eager extends Grain {
  @state() starts = 0;

  override async onActivate(): Promise<void> {
    this.starts++;
    await this.save();
  }

  @method()
  async ready(): Promise<number> {
    return this.starts;
  }
}
