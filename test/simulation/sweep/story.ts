import type { Grain, GrainClass, GrainRef } from 'granary';
import {
  FAULTS,
  type Fault,
  type FaultKind,
  type SimulatedCluster,
  type SimulateOptions,
  simulate,
} from 'granary/testing';
import { Books } from './books.ts';
import {
  Echo,
  GRAINS,
  NearbyRegister,
  REGISTERS,
  type Register,
  Tally,
  Traveller,
  Worker,
} from './grains.ts';

/** How much goes on in a run. What fails is tried again with less, to be understood. */
export interface Size {
  readonly silos: number;
  readonly callers: number;
  /** Of each type of grain. */
  readonly keys: number;
  readonly ms: number;
}

export interface Run extends Size {
  readonly seed: number;
  /** Instead of what the seed draws. */
  readonly faults?: readonly Fault[];
  readonly trace?: (line: string) => void;
}

/**
 * In a network that is whole, whoever crashes or comes, a grain is like one object: its history is
 * linearizable. Not so in a split, where each side has its own; nor where a silo is given up that lives.
 */
const WHOLE: readonly FaultKind[] = [
  ...(['crash', 'vanish', 'leave', 'join', 'pause', 'duplication', 'reordering', 'clockJump'] as const),
  ...(['storeCut', 'storeLatency', 'storeErrors', 'storeErrorsAfterWrite', 'lostStoreAnswers'] as const),
];

/** Silos come, and go in order: then not one call fails. */
const IN_ORDER: readonly FaultKind[] = ['join', 'leave'];

/**
 * Silos that are frozen, one after the other, long enough for others to take over: they find that when they
 * go on. Drawn pauses are mostly too short for that, or overlap.
 */
function freezes(seed: number, ms: number): readonly Fault[] {
  const scatter = (k: number, below: number) => (seed * 7_919 + k * 104_729) % below;
  return Array.from({ length: Math.ceil(ms / 6_000) }, (_, k) => ({
    kind: 'pause',
    atMs: 1_500 + k * 6_000 + scatter(k, 1_000),
    lastsMs: 2_600 + scatter(k + 1, 3_000),
    draw: scatter(k + 2, 2 ** 31),
  }));
}

function faultsOf(seed: number, ms: number): readonly FaultKind[] | readonly Fault[] {
  if (isInOrder(seed)) return IN_ORDER;
  if (seed % 8 === 6) return freezes(seed, ms);
  return isWhole(seed) ? WHOLE : FAULTS;
}

function isWhole(seed: number): boolean {
  return seed % 2 === 0;
}

function isInOrder(seed: number): boolean {
  return seed % 8 === 4;
}

/** What a seed decides before anything begins. */
export function sizeOf(seed: number): Size {
  return {
    silos: 2 + (seed % 5),
    callers: 4 + (seed % 7) * 3,
    // Else all stories in order had the same.
    keys: 1 + ((isInOrder(seed) ? Math.floor(seed / 8) : seed) % 4) * 3,
    ms: 8_000 + (seed % 3) * 8_000,
  };
}

export function run({ seed, faults, trace, ...size }: Run) {
  const kind = { whole: isWhole(seed), inOrder: isInOrder(seed) };
  const options: SimulateOptions = {
    seed,
    silos: size.silos,
    grains: GRAINS,
    options: { callTimeoutMs: 3_000, drainMs: 3_000 },
    maxMs: size.ms + 240_000,
    faults: faults ?? faultsOf(seed, size.ms),
    ...(trace && { trace }),
  };
  return simulate(options, (cluster) => new Story(cluster, size, kind).tell());
}

/** What failed before all was well may be heard of this much later: a store's client gives up slowly. */
const LAST_ERRORS_MS = 5_000;

/** What kind of story it is. */
interface Kind {
  /** The network is never split, and no silo is given up that lives. */
  readonly whole: boolean;
  /** Silos only join, and leave. */
  readonly inOrder: boolean;
}

interface Place {
  grain<G extends Grain>(type: GrainClass<G>, key: string): GrainRef<G>;
}

class Story {
  readonly #cluster: SimulatedCluster;
  readonly #size: Size;
  readonly #kind: Kind;
  readonly #books: Books;
  readonly #members = new Map<string, Map<string, Set<string>>>();
  #values = 0;

  constructor(cluster: SimulatedCluster, size: Size, kind: Kind) {
    this.#cluster = cluster;
    this.#size = size;
    this.#kind = kind;
    this.#books = new Books(kind.inOrder);
  }

  async tell(): Promise<void> {
    const callers = Array.from({ length: this.#size.callers }, (_, n) => this.#caller(n));
    await Promise.all([...callers, this.#mover()]);
    this.#cluster.calm();
    await this.#cluster.stopFaults();
    await this.#cluster.settled(60_000);
    await this.#cluster.sleep(LAST_ERRORS_MS);
    await this.#checkGrains();
    await this.#checkGroups();
    if (this.#kind.whole) this.#books.checkRegisters();
    await this.#useAll();
  }

  async #caller(n: number): Promise<void> {
    const random = this.#cluster.random.fork(`caller ${n}`);
    const key = () => String(random.below(this.#size.keys));
    const name = `caller-${n}`;
    while (this.#cluster.now < this.#size.ms) {
      const place = this.#place(random);
      const kind = random.next();
      if (kind < 0.5) await this.#useRegister(name, place, random.pick(REGISTERS), key(), random.next());
      else if (kind < 0.75) await this.#useTally(place, key(), key(), random.next());
      else if (kind < 0.8) await this.#useGroup(random.pick(this.#cluster.names), key(), random.next());
      else await this.#useOthers(place, key(), random);
      await this.#cluster.sleep(random.exponential(20));
    }
  }

  /** Sends grains from silo to silo. In an orderly cluster none loses what it has in memory. */
  async #mover(): Promise<void> {
    const random = this.#cluster.random.fork('mover');
    const steps = new Map<string, number>();
    while (this.#cluster.now < this.#size.ms) {
      const key = String(random.below(this.#size.keys));
      const to = random.pick(this.#cluster.names);
      const register = this.#cluster.grain(random.pick(REGISTERS), key);
      const traveller = this.#cluster.grain(Traveller, key);
      await this.#books.attempt(() => register.move(to));
      await this.#books.attempt(() => traveller.move(to));
      const seen = await this.#books.attempt(() => traveller.step());
      if (this.#kind.inOrder && 'value' in seen) {
        const before = steps.get(key) ?? 0;
        if (seen.value[0] !== before + 1)
          throw new Error(`Traveller/${key}: after ${before} came ${seen.value[0]}`);
        steps.set(key, before + 1);
      }
      await this.#cluster.sleep(random.exponential(60));
    }
  }

  /** The client, or a silo, unless it may leave where no call may fail: its own calls end with it. */
  #place(random: { below(end: number): number }): Place {
    if (this.#kind.inOrder) return this.#cluster;
    const { names } = this.#cluster;
    const name = names[random.below(names.length * 2)];
    return name ? this.#cluster.silo(name) : this.#cluster;
  }

  async #useRegister(caller: string, place: Place, type: GrainClass<Register>, key: string, kind: number) {
    const id = `${type.name}/${key}`;
    const register = place.grain(type, key);
    const value = ++this.#values;
    if (kind < 0.4)
      await this.#books.register(caller, id, { type: 'write', value }, () =>
        register.write(value).then(() => undefined),
      );
    else if (kind < 0.6) await this.#books.register(caller, id, { type: 'read' }, () => register.read());
    else if (kind < 0.7)
      await this.#books.register(caller, id, { type: 'read' }, () => register.readSlowly());
    else if (kind < 0.8)
      await this.#books.register(caller, id, { type: 'read' }, () => register.readInTurn());
    else if (kind < 0.9) {
      const seen = await this.#books.attempt(() => register.read());
      if (!('value' in seen)) return;
      const expected = seen.value;
      const input = { type: 'compareAndSet', expected, value } as const;
      await this.#books.register(caller, id, input, () => register.replace(expected, value));
    } else if (kind < 0.94) {
      await this.#books.register(caller, id, { type: 'write', value: 0 }, () =>
        register.erase().then(() => undefined),
      );
    } else await this.#books.attempt(() => register.end());
  }

  async #useTally(place: Place, key: string, otherKey: string, kind: number): Promise<void> {
    const tally = place.grain(Tally, key);
    const entry = String(++this.#values);
    if (kind < 0.5) await this.#books.tally(key, () => tally.add());
    else if (kind < 0.85) await this.#books.entry(key, entry, () => tally.addOnce(entry));
    else {
      const other = place.grain(Tally, otherKey);
      this.#books.uncertain(key); // the first half may have been done when the second fails
      this.#books.uncertain(otherKey);
      await this.#books.attempt(() => tally.addBoth(other));
    }
  }

  async #useGroup(silo: string, key: string, kind: number): Promise<void> {
    const { groups } = this.#cluster.silo(silo);
    const member = this.#cluster.grain(Echo, `${silo}-${kind < 0.2 || kind > 0.6 ? 1 : 2}`);
    const group = `group-${key}`;
    const members = this.#membersOf(silo, group);
    if (kind < 0.4) {
      members.add(member.$id);
      await this.#books.risk(() => groups.join(group, member));
    } else if (kind < 0.8) {
      members.delete(member.$id);
      await this.#books.risk(() => groups.leave(group, member));
    } else await this.#books.risk(() => groups.members(group));
  }

  /** What one life of a silo has joined to a group. */
  #membersOf(silo: string, group: string): Set<string> {
    const life = this.#cluster.addressOf(silo);
    const groups = this.#members.get(life) ?? new Map<string, Set<string>>();
    const members = groups.get(group) ?? new Set<string>();
    this.#members.set(life, groups);
    groups.set(group, members);
    return members;
  }

  async #useOthers(
    place: Place,
    key: string,
    random: { next(): number; below(end: number): number },
  ): Promise<void> {
    const echo = place.grain(Echo, key);
    const kind = random.next();
    const books = this.#books;
    if (kind < 0.25) await books.risk(() => this.#readStream(echo, random.below(100), random.below(120)));
    else if (kind < 0.4) await books.attempt(() => echo.slowly(random.below(60)));
    else if (kind < 0.5) await books.risk(() => echo.$with({ timeoutMs: 20 }).slowly(random.below(40)));
    else if (kind < 0.65) {
      const controller = new AbortController();
      const call = books.risk(() => echo.$with({ signal: controller.signal }).slowly(30));
      await this.#cluster.sleep(random.below(40));
      controller.abort();
      await call;
    } else if (kind < 0.8) {
      await books.attempt(() => echo.hear());
      await books.attempt(() => echo.heard());
    } else if (kind < 0.9) {
      const doubled = await books.attempt(() => place.grain(Worker, key).double(21));
      if ('value' in doubled && doubled.value !== 42) throw new Error(`a worker answered ${doubled.value}`);
    } else await books.attempt(() => place.grain(NearbyRegister, key).activation());
  }

  /** Each item comes, in order, or an error does. */
  async #readStream(echo: GrainRef<Echo>, to: number, leaveAt: number): Promise<void> {
    let last = 0;
    for await (const n of echo.$with({ timeoutMs: 3_000 }).count(to)) {
      if (n !== ++last) throw new Error(`a stream went from ${last - 1} to ${n}`);
      if (n === leaveAt) return;
    }
    if (last !== to) throw new Error(`a stream ended at ${last} instead of ${to}`);
  }

  /** All is well again: every grain has one activation, the same from everywhere, and the books are true. */
  async #checkGrains(): Promise<void> {
    const places = () => [this.#cluster, ...this.#cluster.names.map((name) => this.#cluster.silo(name))];
    for (let key = 0; key < this.#size.keys; key++) {
      for (const type of REGISTERS) {
        const seen = await Promise.all(places().map((place) => place.grain(type, key).activation()));
        if (new Set(seen).size > 1) throw new Error(`${type.name}/${key} is active several times: ${seen}`);
      }
    }
    for (const key of this.#books.tallies()) {
      this.#books.checkTally(key, await this.#cluster.grain(Tally, key).read());
    }
  }

  /**
   * The first save after a split may be the one that finds what a silo has written that was cut off and never
   * came back: nobody else can tell. The README says so.
   */
  async #notice(save: () => Promise<unknown>): Promise<void> {
    try {
      await save();
    } catch (error) {
      if (this.#kind.whole || (error as { code?: unknown }).code !== 'STATE_CONFLICT') throw error;
    }
  }

  /** Now no call fails, and what one has written the next one writes over. */
  async #useAll(): Promise<void> {
    for (let key = 0; key < this.#size.keys; key++) {
      const tally = this.#cluster.grain(Tally, String(key));
      await this.#notice(() => tally.add());
      const count = await tally.add();
      if ((await tally.add()) !== count + 1)
        throw new Error(`Tally/${key}: after ${count} one more is not one more`);
      for (const type of REGISTERS) {
        const register = this.#cluster.grain(type, String(key));
        await this.#notice(() => register.write(0));
        for (const value of [-1, -2]) await register.write(value);
        if ((await register.read()) !== -2)
          throw new Error(`${type.name}/${key}: what was written last is not read`);
      }
    }
  }

  /** Every silo sees the same members: those that silos that run have joined. */
  async #checkGroups(): Promise<void> {
    const lives = this.#cluster.names.map((name) => this.#cluster.addressOf(name));
    for (let key = 0; key < this.#size.keys; key++) {
      const group = `group-${key}`;
      const expected = new Set(lives.flatMap((life) => [...(this.#members.get(life)?.get(group) ?? [])]));
      for (const name of this.#cluster.names) {
        const seen = (await this.#cluster.silo(name).groups.members(group)).map(({ $id }) => $id);
        if ([...expected].sort().join() !== [...new Set(seen)].sort().join()) {
          const [saw, wanted] = [seen, [...expected]].map((members) => members.join(', ') || 'nobody');
          throw new Error(`${group}: ${name} sees ${saw}, not ${wanted}`);
        }
      }
    }
  }
}
