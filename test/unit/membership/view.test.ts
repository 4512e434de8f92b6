import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import { Era, EraKeeper } from '../../../framework/membership/cluster.ts';
import {
  addressOf,
  parseEntries,
  parseEntry,
  type SiloEntry,
  STATUSES,
  View,
} from '../../../framework/membership/view.ts';
import { ManualClock } from '../../support/manual-clock.ts';

/** What a silo may say of itself, or others of it: its types never change within one life. */
const entry: fc.Arbitrary<SiloEntry> = fc
  .record({
    name: fc.constantFrom('a', 'b', 'c'),
    incarnation: fc.integer({ min: 1, max: 3 }),
    status: fc.constantFrom(...STATUSES),
    epoch: fc.nat({ max: 3 }),
    unreachable: fc.boolean(),
  })
  .map((each) => ({ ...each, types: [`T${each.incarnation}`], labels: { life: each.incarnation } }));
const news = fc.array(entry, { maxLength: 8 });

function viewOf(...batches: readonly (readonly SiloEntry[])[]): View {
  const view = new View();
  for (const batch of batches) view.merge(batch);
  return view;
}

const content = (view: View) => [...view.entries()].sort((a, b) => (a.name < b.name ? -1 : 1));

const silo = (name: string, more: Partial<SiloEntry> = {}): SiloEntry => ({
  ...{ name, incarnation: 1, status: 'active', epoch: 0, unreachable: false, types: ['T'], labels: {} },
  ...more,
});

describe('views', () => {
  it('that have heard the same agree, in whatever order and however often they heard it', () => {
    const orders = news.chain((all) =>
      fc.tuple(
        fc.constant(all),
        fc.shuffledSubarray(all, { minLength: all.length }),
        fc.shuffledSubarray(all),
      ),
    );
    fc.assert(
      fc.property(orders, ([all, shuffled, again]) => {
        const one = viewOf(all);
        const other = viewOf(...shuffled.map((each) => [each]), again);
        expect(content(other)).toEqual(content(one));
        expect(other.digest).toBe(one.digest);
        expect(other.era).toBe(one.era);
      }),
      { numRuns: 1_000 },
    );
  });

  it('merge associatively: it does not matter who told whom first', () => {
    fc.assert(
      fc.property(news, news, news, (x, y, z) => {
        const left = viewOf(viewOf(x, y).entries(), z);
        const right = viewOf(x, viewOf(y, z).entries());
        expect(content(left)).toEqual(content(right));
      }),
    );
  });

  it('report exactly the entries that a merge changed', () => {
    fc.assert(
      fc.property(news, news, (before, after) => {
        const view = viewOf(before);
        const old = new Map(view.entries().map((each) => [each.name, JSON.stringify(each)]));
        const changed = new Set(view.merge(after).map(({ name }) => name));
        for (const each of view.entries()) {
          expect(changed.has(each.name)).toBe(old.get(each.name) !== JSON.stringify(each));
        }
        expect(view.merge(after)).toEqual([]);
      }),
    );
  });

  it('have equal digests exactly when they are equal', () => {
    fc.assert(
      fc.property(news, news, (one, other) => {
        const [a, b] = [viewOf(one), viewOf(other)];
        expect(a.digest === b.digest).toBe(JSON.stringify(content(a)) === JSON.stringify(content(b)));
      }),
    );
  });

  it('never come back to an era that they left, as silos come, go and are doubted', () => {
    const present = entry.filter(({ status }) => status !== 'joining');
    fc.assert(
      fc.property(fc.array(present, { maxLength: 30 }), (all) => {
        const view = new View();
        const left = new Set<string>();
        let era = view.era;
        for (const each of all) {
          view.merge([each]);
          if (view.era === era) continue;
          if (era !== '') left.add(era);
          era = view.era;
          expect(left).not.toContain(era);
        }
      }),
      { numRuns: 2_000 },
    );
  });

  it('of one era have the same silos on the ring, and wait for the same', () => {
    fc.assert(
      fc.property(news, news, (one, other) => {
        const [a, b] = [viewOf(one), viewOf(other)];
        if (a.era !== b.era) return;
        expect(new Era(a, 16).present).toEqual(new Era(b, 16).present);
        expect(new Era(a, 16).ring.silos).toEqual(new Era(b, 16).ring.silos);
      }),
      { numRuns: 500 },
    );
  });

  test('enter another era when a third silo came and went between two looks', () => {
    const view = viewOf([silo('a'), silo('b')]);
    const before = view.era;
    view.merge([silo('c')]);
    view.merge([silo('c', { unreachable: true })]);
    expect(view.present().map(({ name }) => name)).toEqual(['a', 'b']);
    expect(view.era).not.toBe(before);
  });

  test('are in a new era when a silo joins anew: the one before it first came does not come back', () => {
    const view = viewOf([silo('a')]);
    const before = view.era;
    view.merge([silo('b')]);
    view.merge([silo('b', { unreachable: true })]);
    view.merge([silo('b', { incarnation: 2, status: 'joining' })]);
    expect(view.present().map(({ name }) => name)).toEqual(['a']);
    expect(view.era).not.toBe(before);
  });

  test('count who comes back or is started again, and not who joins or leaves in sight', () => {
    const view = viewOf([silo('a')]);
    const { returns } = view;
    view.merge([silo('b', { status: 'joining' })]);
    view.merge([silo('b')]);
    view.merge([silo('b', { unreachable: true })]);
    view.merge([silo('b', { status: 'left' })]);
    view.merge([silo('c', { status: 'joining', epoch: 3 })]);
    expect(view.returns).toBe(returns);
    view.merge([silo('a', { epoch: 1 })]);
    expect(view.returns).toBe(returns + 1);
    view.merge([silo('d')]);
    expect(view.returns).toBe(returns + 2);
    view.merge([silo('b', { incarnation: 2, status: 'leaving' })]);
    expect(view.returns).toBe(returns + 3);
    view.merge([silo('b', { incarnation: 2, status: 'left' })]);
    view.merge([silo('b', { incarnation: 3, status: 'joining' })]);
    expect(view.returns).toBe(returns + 3);
    view.merge([silo('b', { incarnation: 4, status: 'joining' })]);
    expect(view.returns).toBe(returns + 4);
  });

  test('keep their era when a silo that is joining is gone before it became active', () => {
    const view = viewOf([silo('a'), silo('b', { status: 'joining' })]);
    const before = view.era;
    view.merge([silo('b', { status: 'joining', unreachable: true })]);
    expect(view.era).toBe(before);
  });

  test('believe a refutation, and a claim only of the epoch it was made in', () => {
    const view = viewOf([silo('a', { unreachable: true })]);
    expect(view.present()).toEqual([]);
    view.merge([silo('a', { epoch: 1 })]);
    view.merge([silo('a', { unreachable: true })]);
    expect(view.present().map(({ name }) => name)).toEqual(['a']);
  });

  test('forget everything of a silo when a later one of its name has come', () => {
    const view = viewOf([silo('a', { epoch: 9, status: 'left', unreachable: true })]);
    const restarted = silo('a', { incarnation: 2, status: 'joining', types: ['Other'] });
    view.merge([restarted]);
    view.merge([silo('a', { epoch: 10 })]);
    expect(view.get('a')).toEqual(restarted);
  });

  test('remember a thousand departed silos, the last ones, and every living one', () => {
    const gone = (i: number) => silo(`gone-${i}`, { incarnation: i + 1, status: 'left' });
    const view = viewOf([silo('alive')]);
    for (let i = 0; i < 1_500; i++) view.merge([gone(i)]);
    expect(view.entries()).toHaveLength(1_001);
    expect(view.get('gone-499')).toBeUndefined();
    expect(view.get('gone-500')).toBeDefined();
    expect(view.get('alive')).toBeDefined();
  });
});

describe('an entry from the wire', () => {
  it('is read back as it was sent', () => {
    fc.assert(
      fc.property(entry, (each) => {
        expect(parseEntry({ ...each, extra: 1 })).toEqual(each);
      }),
    );
  });

  it('is nothing at all, when it is anything else', () => {
    const strange = fc.oneof(fc.anything(), fc.record({ name: fc.string(), incarnation: fc.anything() }));
    fc.assert(
      fc.property(strange, (value) => {
        expect(parseEntry(value)).toBeUndefined();
        expect(() => parseEntries(value)).not.toThrow();
      }),
    );
  });

  test.each([
    ['a name that is none', { name: 'a b' }],
    ['no name', { name: undefined }],
    ['a broken incarnation', { incarnation: 1.5 }],
    ['an incarnation of text', { incarnation: '1' }],
    ['an endless epoch', { epoch: Number.POSITIVE_INFINITY }],
    ['a negative epoch', { epoch: -1 }],
    ['a negative incarnation', { incarnation: -1 }],
    ['an unknown status', { status: 'dead' }],
    ['the status of an index', { status: 1 }],
    ['a reachability that is none', { unreachable: 'yes' }],
    ['types that are no list', { types: 'Counter' }],
    ['types that are no texts', { types: ['Counter', 7] }],
    ['no labels', { labels: undefined }],
    ['labels that are a list', { labels: ['gpu'] }],
    ['a label that is an object', { labels: { zone: {} } }],
  ])('is refused with %s', (_what, wrong) => {
    expect(parseEntry({ ...silo('a'), ...wrong })).toBeUndefined();
  });

  test('among others is left out alone', () => {
    expect(parseEntries([silo('a'), null, { name: 'b' }, silo('c')])).toEqual([silo('a'), silo('c')]);
  });
});

describe('the keeper of the era', () => {
  const keep = (view: View) => {
    const clock = new ManualClock();
    const keeper = new EraKeeper(view, { clock, partitions: 16, name: 'a' });
    const heard: unknown[] = [];
    const stop = keeper.onEra((era, departed) => heard.push([era.ring.silos, departed]));
    return { clock, keeper, heard, stop };
  };

  test('tells of each new era once, with who departed and whether in order', () => {
    const view = viewOf([silo('a'), silo('b'), silo('c'), silo('d')]);
    const { clock, keeper, heard, stop } = keep(view);
    keeper.update(view);
    expect(heard).toEqual([]);
    view.merge([silo('b', { status: 'left' }), silo('c', { unreachable: true })]);
    view.merge([silo('d', { incarnation: 2, status: 'joining' })]);
    keeper.update(view);
    keeper.update(view);
    const departed = [
      { silo: 'b~1', graceful: true },
      { silo: 'c~1', graceful: false },
      { silo: 'd~1', graceful: false },
    ];
    expect(heard).toEqual([[['a'], departed]]);
    stop();
    clock.advance(10);
    view.merge([silo('e')]);
    keeper.update(view);
    expect(keeper.current.ring.silos).toEqual(['a', 'e']);
    expect(heard).toHaveLength(1);
  });

  test('takes one that was leaving, and is found gone before it is heard to have left, to have left', () => {
    const view = viewOf([silo('a'), silo('b', { status: 'leaving' })]);
    const { keeper, heard } = keep(view);
    view.merge([silo('b', { status: 'leaving', unreachable: true })]);
    keeper.update(view);
    expect(heard).toEqual([[['a'], [{ silo: 'b~1', graceful: true }]]]);
  });

  const MANY = Array.from({ length: 8 }, (_, index) => `s${index}`);
  const many = () => viewOf(MANY.map((name) => silo(name)));

  test('heeds one silo that arrives at once, and those that arrive right after it together', () => {
    const view = many();
    const { clock, keeper, heard } = keep(view);
    for (const name of ['b', 'c', 'd']) {
      view.merge([silo(name)]);
      keeper.update(view);
    }
    expect(heard).toEqual([[['b', ...MANY], []]]);
    clock.advance(10);
    expect(heard).toEqual([
      [['b', ...MANY], []],
      [['b', 'c', 'd', ...MANY], []],
    ]);
  });

  test('heeds all at once in a small cluster', () => {
    const view = viewOf([silo('a')]);
    const { keeper, heard } = keep(view);
    for (const name of ['b', 'c']) {
      view.merge([silo(name)]);
      keeper.update(view);
    }
    expect(heard).toHaveLength(2);
  });

  test('waits for the arrival of a silo that is joining, for a while', () => {
    const view = many();
    const { clock, keeper, heard } = keep(view);
    view.merge([silo('b', { status: 'joining' })]);
    keeper.update(view);
    expect(heard).toEqual([]);
    const before = keeper.current.id;
    clock.advance(10);
    expect(keeper.current.id).not.toBe(before);
    view.merge([silo('c', { status: 'joining' })]);
    keeper.update(view);
    view.merge([silo('c')]);
    clock.advance(10);
    expect(heard.at(-1)).toEqual([['c', ...MANY], []]);
  });

  test('heeds at once who leaves, and its own arrival', () => {
    const view = many();
    const { keeper, heard } = keep(view);
    view.merge([silo('d')]);
    keeper.update(view);
    view.merge([silo('s0', { status: 'leaving' })]);
    keeper.update(view);
    view.merge([silo('a')]);
    keeper.update(view);
    expect(heard.map((era) => (era as unknown[])[0])).toEqual([
      ['d', ...MANY],
      ['d', ...MANY.slice(1)],
      ['a', 'd', ...MANY.slice(1)],
    ]);
  });

  test('keeps a silo that is leaving present, but off the ring', () => {
    const era = new Era(viewOf([silo('a'), silo('b', { status: 'leaving' })]), 16);
    expect(era.ring.silos).toEqual(['a']);
    expect([...era.present]).toEqual([addressOf(silo('a')), addressOf(silo('b'))]);
    expect(era.addressOf('b')).toBeUndefined();
    expect(era.replicaAddresses(0, 3)).toEqual(['a~1']);
  });
});
