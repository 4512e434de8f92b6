import { hash32, mix32 } from '../identity/hash.ts';

/** Whether a number can be a cluster's number of partitions. */
export function isPowerOfTwo(value: unknown): value is number {
  return (
    Number.isInteger(value) &&
    (value as number) >= 1 &&
    (value as number) <= 65_536 &&
    Math.log2(value as number) % 1 === 0
  );
}

/** The last rings made, which are kept for others of this process. */
const SHARED = 4;

/**
 * The ring: which silo is responsible for which partition, as a pure function of the silos' names.
 *
 * Every silo scores every partition (rendezvous hashing, Thaler and Ravishankar 1998); a partition prefers
 * silos by score. Scores alone balance badly at a thousand partitions, so each silo takes its fair share,
 * give or take one: partitions propose to silos in their order of preference, and a full silo refuses the one
 * it scores lowest (deferred acceptance, Gale and Shapley 1962). Both sides rank a pair by the same score, so
 * there is exactly one stable outcome and the order of proposals does not matter. A join or leave changes the
 * shares by a little, and so moves little more than the one share it must.
 */
export class Ring {
  readonly partitions: number;
  /** Names of the silos, sorted. */
  readonly silos: readonly string[];
  readonly #primaries: Uint16Array;
  readonly #seeds: Uint32Array;

  static readonly #latest: Ring[] = [];

  /** A ring of these silos: a value, so nodes of one process that know the same silos have the same one. */
  static of(partitions: number, silos: readonly string[]): Ring {
    const latest = Ring.#latest;
    const sorted = [...silos].sort();
    const same = (names: readonly string[]) =>
      names.length === sorted.length && names.every((name, index) => name === sorted[index]);
    const known = latest.find((ring) => ring.partitions === partitions && same(ring.silos));
    if (known) return known;
    const ring = new Ring(partitions, sorted);
    latest.unshift(ring);
    latest.length = Math.min(latest.length, SHARED);
    return ring;
  }

  /** `partitions` is a power of two. `silos` may be empty, in any order. */
  constructor(partitions: number, silos: readonly string[]) {
    this.partitions = partitions;
    this.silos = [...silos].sort();
    this.#seeds = Uint32Array.from(this.silos, (name) => hash32(name));
    this.#primaries = this.silos.length > 0 ? this.#assign() : new Uint16Array(partitions);
  }

  /** The partition of a grain or a group. */
  partitionOf(id: string): number {
    return hash32(id) & (this.partitions - 1);
  }

  /** The silo that decides for a partition; undefined in an empty ring. */
  primary(partition: number): string | undefined {
    return this.silos[this.#primaries[partition] as number];
  }

  /** The primary, then the others in the partition's order of preference; `count` silos, or all there are. */
  preferenceList(partition: number, count: number): string[] {
    const primary = this.primary(partition);
    if (primary === undefined) return [];
    const others = this.#byPreference(partition, count + 1).map((silo) => this.silos[silo] as string);
    return [primary, ...others.filter((name) => name !== primary)].slice(0, count);
  }

  #score(partition: number, silo: number): number {
    return mix32((this.#seeds[silo] as number) ^ saltOf(partition));
  }

  /**
   * The `count` silos that a partition prefers, the best first; of equal scores the first by name. A large
   * cluster's ring costs what this loop costs, so it scores each silo once and mostly stops at the bar.
   */
  #byPreference(partition: number, count: number): number[] {
    const best: number[] = [];
    const scores: number[] = [];
    const seeds = this.#seeds;
    const salt = saltOf(partition);
    let bar = -1;
    for (let silo = 0; silo < seeds.length; silo++) {
      const score = mix32((seeds[silo] as number) ^ salt);
      if (score <= bar) continue;
      let at = Math.min(best.length, count - 1);
      for (; at > 0 && (scores[at - 1] as number) < score; at--) {
        best[at] = best[at - 1] as number;
        scores[at] = scores[at - 1] as number;
      }
      best[at] = silo;
      scores[at] = score;
      if (best.length === count) bar = scores[count - 1] as number;
    }
    return best;
  }

  #assign(): Uint16Array {
    const shares = this.#shares();
    const held: number[][] = this.silos.map(() => []);
    const primaries = new Uint16Array(this.partitions);
    const preferences: number[][] = [];
    const next = new Uint16Array(this.partitions);
    const unassigned = Array.from({ length: this.partitions }, (_, partition) => partition);
    for (let partition = unassigned.pop(); partition !== undefined; partition = unassigned.pop()) {
      let list = preferences[partition];
      const rank = next[partition] as number;
      if (list === undefined || rank >= list.length) {
        list = this.#byPreference(partition, Math.min(8 * Math.max(rank, 1), this.silos.length));
        preferences[partition] = list;
      }
      next[partition] = rank + 1;
      const silo = list[rank] as number;
      const mine = held[silo] as number[];
      mine.push(partition);
      primaries[partition] = silo;
      if (mine.length > (shares[silo] as number)) unassigned.push(this.#refuseLowest(mine, silo));
    }
    return primaries;
  }

  /**
   * How many partitions each silo takes: all of them together, and of two silos neither more than one more
   * than the other. The odd ones go to the silos whose names hash highest, so that few change at a join.
   */
  #shares(): number[] {
    const { length } = this.silos;
    const least = Math.floor(this.partitions / length);
    const shares = new Array<number>(length).fill(least);
    const seed = (silo: number) => this.#seeds[silo] as number;
    const bySeed = [...shares.keys()].sort((a, b) => seed(b) - seed(a) || a - b);
    for (const silo of bySeed.slice(0, this.partitions - least * length)) shares[silo] = least + 1;
    return shares;
  }

  #refuseLowest(held: number[], silo: number): number {
    let lowest = 0;
    for (let i = 1; i < held.length; i++) {
      const difference = this.#score(held[i] as number, silo) - this.#score(held[lowest] as number, silo);
      if (difference < 0 || (difference === 0 && (held[i] as number) > (held[lowest] as number))) lowest = i;
    }
    const [refused] = held.splice(lowest, 1);
    return refused as number;
  }
}

/** What sets the scores of one partition apart from those of another. */
function saltOf(partition: number): number {
  return Math.imul(partition + 1, 0x9e3779b1);
}
