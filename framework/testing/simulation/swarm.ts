import type { SeededRandom } from './seeded-random.ts';
import type { SimulatedCluster } from './simulated-cluster.ts';

/** Kinds of trouble. */
export const FAULTS = [
  'crash',
  'vanish',
  'leave',
  'join',
  'pause',
  'slow',
  'partition',
  'loudPartition',
  'oneWay',
  'latency',
  'loss',
  'duplication',
  'reordering',
  'clockJump',
  'disconnect',
  'outage',
  'storeLatency',
  'storeErrors',
  'storeErrorsAfterWrite',
  'lostStoreAnswers',
] as const;

export type FaultKind = (typeof FAULTS)[number];

/** Between two troubles, on average, and how long one lasts. Virtual milliseconds. */
const GAP_MS = { fewest: 300, most: 6_000 };
const LASTING_MS = { shortest: 20, longest: 12_000 };
/** Names that silos that join may have, beyond those of the beginning. */
const NEWCOMERS = 3;

/**
 * Trouble that a seed makes. Each seed draws its own kinds, so that some runs see much of one thing (Groce et
 * al. 2012, Swarm Testing); each kind starts and ends on its own, and several overlap. At least one silo is
 * left running.
 */
export class Swarm {
  readonly #cluster: SimulatedCluster;
  readonly #random: SeededRandom;
  readonly #kinds: readonly FaultKind[];
  readonly #names: readonly string[];
  readonly #gapMs: number;
  readonly #lastingMs: number;
  /** Silos that start or stop; trouble of their own is enough. */
  readonly #moving = new Map<string, Promise<unknown>>();
  #stopped = false;
  readonly #running: Promise<void>;

  constructor(cluster: SimulatedCluster, silos: readonly string[], faults: 'swarm' | readonly FaultKind[]) {
    this.#cluster = cluster;
    this.#random = cluster.random.fork('swarm');
    const share = this.#random.between(0.1, 0.7);
    this.#kinds = faults === 'swarm' ? FAULTS.filter(() => this.#random.next() < share) : faults;
    this.#names = [...silos, ...Array.from({ length: NEWCOMERS }, (_, i) => `new-${i}`)];
    this.#gapMs = this.#logarithmic(GAP_MS.fewest, GAP_MS.most);
    this.#lastingMs = this.#logarithmic(LASTING_MS.shortest * 10, LASTING_MS.longest);
    this.#running = this.#make();
  }

  /** Makes no more trouble; resolves when silos that were to start or stop have done so. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cluster.calm();
    await this.#running;
    await Promise.all(this.#moving.values());
  }

  async #make(): Promise<void> {
    if (this.#kinds.length === 0) return;
    for (;;) {
      await this.#cluster.sleep(this.#random.exponential(this.#gapMs));
      if (this.#stopped) return;
      this.#begin(this.#random.pick(this.#kinds));
    }
  }

  #begin(kind: FaultKind): void {
    const cluster = this.#cluster;
    const random = this.#random;
    const calm = cluster.names.filter((name) => !this.#moving.has(name));
    const silo = calm.length > 0 ? random.pick(calm) : undefined;
    const spare = calm.length > 1 ? silo : undefined;
    switch (kind) {
      case 'crash':
      case 'vanish':
        return void (spare && this.#crashAndReturn(spare, kind));
      case 'leave':
        return void (spare && this.#move(spare, cluster.stop(spare)));
      case 'join':
        return this.#join();
      case 'pause':
        if (silo)
          this.#for(
            () => cluster.pause(silo),
            () => this.#ifRuns(silo, () => cluster.resume(silo)),
          );
        return;
      case 'slow':
        if (!silo) return;
        this.#for(
          () => cluster.slow(silo, this.#logarithmic(0.05, 20)),
          () => this.#ifRuns(silo, () => cluster.slow(silo, 0)),
        );
        return;
      case 'clockJump':
        return void (silo && cluster.jumpClock(silo, random.between(-1, 2) * this.#logarithmic(10, 100_000)));
      case 'disconnect':
        return void (silo && this.#disconnect([silo]));
      case 'outage':
        return this.#disconnect([...cluster.names, 'client']);
      default:
        return this.#conditions(kind);
    }
  }

  /** What is wrong with the network or the stores as a whole. */
  #conditions(kind: FaultKind): void {
    const cluster = this.#cluster;
    const rate = this.#logarithmic(0.001, 0.3);
    switch (kind) {
      case 'partition':
      case 'loudPartition':
      case 'oneWay':
        return this.#partition(kind);
      case 'latency':
        return this.#for(
          () => cluster.setNetwork({ jitterMs: this.#logarithmic(1, 400) }),
          () => cluster.setNetwork({ jitterMs: 0.3 }),
        );
      case 'loss':
      case 'duplication':
      case 'reordering':
        return this.#for(
          () => cluster.setNetwork({ [kind]: rate }),
          () => cluster.setNetwork({ [kind]: 0 }),
        );
      case 'storeLatency':
        return this.#for(
          () => cluster.setStores({ jitterMs: this.#logarithmic(2, 1_000) }),
          () => cluster.setStores({ jitterMs: 1 }),
        );
      default: {
        const which =
          kind === 'storeErrors'
            ? 'errors'
            : kind === 'lostStoreAnswers'
              ? 'lostAnswers'
              : 'errorsAfterWrite';
        return this.#for(
          () => cluster.setStores({ [which]: rate }),
          () => cluster.setStores({ [which]: 0 }),
        );
      }
    }
  }

  #partition(kind: 'partition' | 'loudPartition' | 'oneWay'): void {
    const cluster = this.#cluster;
    const all = this.#random.shuffled([...cluster.names, 'client']);
    const size = 1 + this.#random.below(all.length - 1);
    const [some, others] = [all.slice(0, size), all.slice(size)];
    this.#for(
      () => {
        if (kind === 'oneWay') cluster.partitionOneWay(some, others);
        else if (kind === 'loudPartition') cluster.partitionLoudly(some, others);
        else cluster.partition(some, others);
      },
      () => cluster.heal(),
    );
  }

  #disconnect(names: readonly string[]): void {
    this.#cluster.disconnect(...names);
    const lastingMs = this.#random.exponential(this.#lastingMs);
    for (const name of names) {
      const ownMs = lastingMs + this.#random.exponential(100);
      void this.#cluster.sleep(ownMs).then(() => {
        if (!this.#stopped) this.#ifRuns(name, () => this.#cluster.reconnect(name));
      });
    }
  }

  #crashAndReturn(name: string, kind: 'crash' | 'vanish'): void {
    this.#cluster[kind](name);
    if (this.#random.chance(0.3)) return;
    void this.#cluster.sleep(this.#random.exponential(this.#lastingMs)).then(() => {
      if (!this.#stopped && !this.#cluster.names.includes(name)) this.#start(name);
    });
  }

  #join(): void {
    const absent = this.#names.filter((name) => !this.#cluster.names.includes(name));
    if (absent.length > 0) this.#start(this.#random.pick(absent));
  }

  /** A start may be refused: by a silo of that name that still runs, or a clock that went back. */
  #start(name: string): void {
    if (this.#moving.has(name)) return;
    this.#move(
      name,
      this.#cluster
        .start(name)
        .catch((error) => this.#cluster.note(`${name} did not start: ${String(error)}`)),
    );
  }

  #move(name: string, moving: Promise<unknown>): void {
    this.#moving.set(name, moving);
    void moving.finally(() => this.#moving.delete(name));
  }

  #ifRuns(name: string, act: () => void): void {
    if (name === 'client' || this.#cluster.names.includes(name)) act();
  }

  #for(begin: () => void, end: () => void): void {
    begin();
    void this.#cluster.sleep(this.#random.exponential(this.#lastingMs)).then(() => {
      if (!this.#stopped) end();
    });
  }

  /** Between two numbers, small ones as likely as large ones. */
  #logarithmic(least: number, most: number): number {
    return least * (most / least) ** this.#random.next();
  }
}
