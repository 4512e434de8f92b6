import { Grain, type GrainStore, grain, LIMITS, memory, method, Silo, state } from 'granary';
import { describe, expect, test } from 'vitest';
import { failure } from '../support/places.ts';
import { GRAINS, gate, gates, keyed, runsOf, Till, Watched } from '../support/till.ts';

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

  test('one that it waits for is part of it, also with what that one saves', async () => {
    const store = new Watched();
    await using silo = await start(store);
    const till = silo.grain(Till, 'awaited');
    for (let n = 0; n < 2; n++)
      expect(await till.$with({ idempotencyKey: 'k', timeoutMs: 2_000 }).putNoted(5, 'n')).toEqual(['n']);
    expect([store.writes, runsOf('awaited')]).toEqual([['awaited/state'], 1]);
  });

  test('what it has changed of another record ends with it, too, when it fails', async () => {
    await using silo = await start();
    const till = silo.grain(Till, 'spoilt');
    await till.audit();
    expect(await failure(keyed(till, 'k').spoil())).toBeInstanceOf(RangeError);
    expect(await till.audited()).toBe(1);
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

  test('are those of the arguments as they came, whatever interceptors do to them', async () => {
    await using silo = await Silo.start({
      grains: GRAINS,
      log: 'silent',
      interceptors: {
        incoming: [
          (call, next) => {
            Object.assign(call.args[1] as object, { seen: ++seen });
            return next();
          },
        ],
      },
    });
    let seen = 0;
    const till = silo.grain(Till, 'stamped');
    for (let n = 0; n < 2; n++) expect(await keyed(till, 'k').put(5, {})).toEqual({ total: 5 });
    expect([seen, runsOf('stamped')]).toEqual([2, 1]);
  });
});
