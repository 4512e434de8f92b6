import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import { type Delta, ProcessGroups, parseDelta } from '../../../framework/directory/process-groups.ts';

const OWNERS = ['a~1', 'b~1', 'c~1'] as const;
const value = (id: string) => ({ id, since: 1 });

/** What lives in a replica: owner, dot, group and id of each member. */
function content(groups: ProcessGroups): string[] {
  const all: string[] = [];
  for (const group of groups.groups()) {
    for (const { owner, dot, value } of groups.members(group))
      all.push(`${group} ${owner} ${dot} ${value.id}`);
  }
  return all.sort();
}

/** Everything a replica knows, the removed dots too. */
function knowledge(groups: ProcessGroups): unknown {
  const slices = OWNERS.map((owner) => {
    const { seen, entries } = groups.slice(owner);
    return [owner, seen.upTo, [...seen.beyond].sort(), [...entries].sort(([a], [b]) => a - b)];
  });
  return slices;
}

function replicaOf(...deltas: readonly Delta[]): ProcessGroups {
  const replica = new ProcessGroups();
  for (const delta of deltas) replica.merge(delta);
  return replica;
}

interface Step {
  readonly owner: (typeof OWNERS)[number];
  readonly act: 'join' | 'leave' | 'slice';
  readonly group: string;
  readonly id: string;
}

const step: fc.Arbitrary<Step> = fc.record({
  owner: fc.constantFrom(...OWNERS),
  act: fc.constantFrom('join', 'join', 'leave', 'slice'),
  group: fc.constantFrom('g', 'h'),
  id: fc.constantFrom('x', 'y'),
});

/** Plays the steps, each at its owner's own replica; gives the replicas and all that they said. */
function play(steps: readonly Step[]): { owners: Map<string, ProcessGroups>; deltas: Delta[] } {
  const owners = new Map<string, ProcessGroups>(OWNERS.map((owner) => [owner, new ProcessGroups()]));
  const deltas: Delta[] = [];
  for (const { owner, act, group, id } of steps) {
    const own = owners.get(owner) as ProcessGroups;
    if (act === 'join') deltas.push(own.join(owner, group, value(id)));
    if (act === 'slice') deltas.push(own.slice(owner));
    const left = act === 'leave' ? own.leave(owner, group, id) : undefined;
    if (left) deltas.push(left);
  }
  return { owners, deltas };
}

/** What happened, and what of it reached somebody: some lost, some twice, in any order. */
const story = fc.array(step, { maxLength: 25 }).chain((steps) => {
  const { owners, deltas } = play(steps);
  const some = () => fc.shuffledSubarray(deltas);
  return fc.record({
    owners: fc.constant(owners),
    deltas: fc.constant(deltas),
    x: some(),
    y: some(),
    z: some(),
  });
});

/** All that lives at its owners. */
function truth(owners: ReadonlyMap<string, ProcessGroups>): string[] {
  return [...owners.values()].flatMap(content).sort();
}

describe('process groups', () => {
  it('are the same after the same deltas, in any order and however often', () => {
    fc.assert(
      fc.property(story, ({ x, y }) => {
        const one = replicaOf(...x, ...y);
        const other = replicaOf(...y, ...x, ...y, ...x);
        expect(knowledge(other)).toEqual(knowledge(one));
      }),
      { numRuns: 500 },
    );
  });

  it('merge associatively, replica by replica', () => {
    const slices = (groups: ProcessGroups) => OWNERS.map((owner) => groups.slice(owner));
    const join = (one: ProcessGroups, other: ProcessGroups) => replicaOf(...slices(one), ...slices(other));
    fc.assert(
      fc.property(story, ({ x, y, z }) => {
        const [a, b, c] = [replicaOf(...x), replicaOf(...y), replicaOf(...z)];
        expect(knowledge(join(join(a, b), c))).toEqual(knowledge(join(a, join(b, c))));
        expect(knowledge(join(a, b))).toEqual(knowledge(join(b, a)));
        expect(knowledge(join(a, a))).toEqual(knowledge(a));
      }),
      { numRuns: 300 },
    );
  });

  it('are whole again after the slices of the owners, whatever was lost before', () => {
    fc.assert(
      fc.property(story, ({ owners, x }) => {
        const replica = replicaOf(...x);
        for (const [owner, own] of owners) replica.merge(own.slice(owner));
        expect(content(replica)).toEqual(truth(owners));
        for (const [owner, own] of owners) expect(replica.digest(owner)).toBe(own.digest(owner));
      }),
      { numRuns: 500 },
    );
  });

  it('do not bring a removed member back with late news', () => {
    fc.assert(
      fc.property(story, ({ owners, x, y }) => {
        const replica = replicaOf(...x);
        for (const [owner, own] of owners) replica.merge(own.slice(owner));
        for (const delta of y) expect(replica.merge(delta)).toEqual({ joined: [], left: [] });
        expect(content(replica)).toEqual(truth(owners));
      }),
      { numRuns: 500 },
    );
  });

  it('tell exactly what came and went with each delta', () => {
    fc.assert(
      fc.property(story, ({ x, y }) => {
        const replica = new ProcessGroups();
        let known: string[] = [];
        for (const delta of [...x, ...y]) {
          const { joined, left } = replica.merge(delta);
          const text = ({ group, member }: (typeof joined)[number]) =>
            `${group} ${member.owner} ${member.dot} ${member.value.id}`;
          const gone = new Set(left.map(text));
          known = [...known.filter((each) => !gone.has(each)), ...joined.map(text)].sort();
          expect(content(replica)).toEqual(known);
          expect(replica.size).toBe(known.length);
        }
      }),
      { numRuns: 300 },
    );
  });

  it('have equal digests of an owner exactly when they hold the same of it', () => {
    fc.assert(
      fc.property(story, ({ x, y }) => {
        const [one, other] = [replicaOf(...x), replicaOf(...y)];
        for (const owner of OWNERS) {
          const [a, b] = [one, other].map((groups) => content(groups).filter((each) => each.includes(owner)));
          expect(one.digest(owner) === other.digest(owner)).toBe(JSON.stringify(a) === JSON.stringify(b));
        }
      }),
    );
  });

  test('a removal wins only over what it has seen: a member that joined meanwhile stays', () => {
    const own = new ProcessGroups();
    const first = own.join('a~1', 'g', value('x'));
    const removal = own.leave('a~1', 'g', 'x') as Delta;
    const second = own.join('a~1', 'g', value('x'));
    const replica = replicaOf(second, removal, first);
    expect(content(replica)).toEqual(['g a~1 2 x']);
  });

  test('one owner never removes what another wrote', () => {
    const replica = replicaOf(new ProcessGroups().join('a~1', 'g', value('x')));
    expect(replica.leave('b~1', 'g', 'x')).toBeUndefined();
    const slice = new ProcessGroups().slice('b~1');
    replica.merge({ ...slice, seen: { upTo: 1_000, beyond: [] } });
    expect(content(replica)).toEqual(['g a~1 1 x']);
  });

  test('a retraction takes what is named up to its dot, and nothing that joined after', () => {
    const own = new ProcessGroups();
    const deltas = ['x', 'y'].map((id) => own.join('a~1', 'g', value(id)));
    const replica = replicaOf(...deltas, own.join('a~1', 'h', value('z')));
    expect(replica.retract('a~1', 'g', 1).left).toHaveLength(1);
    expect(content(replica)).toEqual(['g a~1 2 y', 'h a~1 3 z']);
    expect(replica.retract('a~1', 'g', 1)).toEqual({ joined: [], left: [] });
    replica.merge(deltas[0] as Delta);
    expect(content(replica)).toEqual(['g a~1 2 y', 'h a~1 3 z']);
  });

  test('a lost owner takes its members with it, and can assert them anew', () => {
    const own = new ProcessGroups();
    own.join('a~1', 'g', value('x'));
    own.leave('a~1', 'g', 'x');
    own.join('a~1', 'g', value('y'));
    const replica = replicaOf(own.slice('a~1'), new ProcessGroups().join('b~1', 'g', value('z')));
    expect(replica.forget('a~1').left.map(({ member }) => member.value.id)).toEqual(['y']);
    expect([replica.owners(), replica.digest('a~1'), content(replica)]).toEqual([['b~1'], 0, ['g b~1 1 z']]);
    expect(replica.forget('a~1')).toEqual({ joined: [], left: [] });
    replica.merge(own.slice('a~1'));
    expect(content(replica)).toEqual(['g a~1 2 y', 'g b~1 1 z']);
  });

  test('no tombstones pile up: a million that came and went leave nothing but one number', () => {
    const [own, replica] = [new ProcessGroups(), new ProcessGroups()];
    for (let i = 0; i < 20_000; i++) {
      replica.merge(own.join('a~1', `g${i}`, value('x')));
      replica.merge(own.leave('a~1', `g${i}`, 'x') as Delta);
    }
    const nothing = { owner: 'a~1', seen: { upTo: 20_000, beyond: [] }, entries: [] };
    expect([own.slice('a~1'), replica.slice('a~1')]).toEqual([nothing, nothing]);
    expect([...replica.groups()]).toEqual([]);
  });
});

describe('a delta from the wire', () => {
  it('is read as it was sent', () => {
    fc.assert(
      fc.property(story, ({ deltas }) => {
        for (const delta of deltas) expect(parseDelta(structuredClone(delta))).toEqual(delta);
      }),
    );
  });

  it('that is anything else is refused', () => {
    fc.assert(
      fc.property(fc.anything(), (anything) => {
        expect(parseDelta(anything)).toBeUndefined();
      }),
    );
  });

  const good: Delta = { owner: 'a~1', seen: { upTo: 1, beyond: [3] }, entries: [[3, 'g', value('x')]] };
  test.each([
    ['no owner', { owner: 1 }],
    ['nothing seen', { seen: null }],
    ['a negative dot', { seen: { upTo: -1, beyond: [] } }],
    ['half a dot', { seen: { upTo: 0, beyond: [0.5] } }],
    ['dots that are no list', { seen: { upTo: 0, beyond: 3 } }],
    ['entries that are no list', { entries: {} }],
    ['an entry too short', { entries: [[3, 'g']] }],
    ['a group that is no text', { entries: [[3, 7, value('x')]] }],
    ['no value', { entries: [[3, 'g', null]] }],
    ['a member without an id', { entries: [[3, 'g', { since: 1 }]] }],
    ['a time that is none', { entries: [[3, 'g', { id: 'x', since: 'now' }]] }],
    ['a time that no order can place', { entries: [[3, 'g', { id: 'x', since: Number.NaN }]] }],
    ['an entry that it has not seen itself', { entries: [[2, 'g', value('x')]] }],
    [
      'two entries of one dot',
      {
        entries: [
          [3, 'g', value('x')],
          [3, 'h', value('x')],
        ],
      },
    ],
    ['the dot zero, which nobody gives', { entries: [[0, 'g', value('x')]] }],
  ])('is refused with %s', (_what, wrong) => {
    expect(parseDelta(good)).toEqual(good);
    expect(parseDelta({ ...good, ...wrong })).toBeUndefined();
  });
});
