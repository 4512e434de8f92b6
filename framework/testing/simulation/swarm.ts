import { setMaxListeners } from 'node:events';
import { type Clock, sleep } from '../../system/clock.ts';
import { SeededRandom } from './seeded-random.ts';
import type { SimulatedCluster } from './simulated-cluster.ts';
import { troubles } from './troubles.ts';

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
  'storeCut',
  'storeLatency',
  'storeErrors',
  'storeErrorsAfterWrite',
  'lostStoreAnswers',
] as const;

export type FaultKind = (typeof FAULTS)[number];

/** One trouble: what, when and for how long, in virtual milliseconds. */
export interface Fault {
  readonly kind: FaultKind;
  readonly atMs: number;
  readonly lastsMs: number;
  /** Decides whom it strikes, and how hard. */
  readonly draw: number;
}

/** Between two troubles, on average, and how long one lasts, on average. Virtual milliseconds. */
const GAP_MS = [200, 6_000] as const;
const LASTING_MS = [100, 12_000] as const;

/**
 * Trouble without end that a seed draws. Each seed draws its own kinds, how often and how long, so that some
 * runs see much of one thing (Groce et al. 2012, Swarm Testing).
 */
export function* drawFaults(random: SeededRandom, among: readonly FaultKind[]): Generator<Fault> {
  const share = random.between(0.1, 0.7);
  const drawn = among.filter(() => random.next() < share);
  const kinds = drawn.length > 0 ? drawn : [random.pick(among)];
  const gapMs = random.logarithmic(...GAP_MS);
  const lastingMs = random.logarithmic(...LASTING_MS);
  for (let atMs = random.exponential(gapMs); ; atMs += random.exponential(gapMs)) {
    const lastsMs = Math.ceil(random.exponential(lastingMs));
    yield { kind: random.pick(kinds), atMs: Math.ceil(atMs), lastsMs, draw: random.bits() >>> 0 };
  }
}

/**
 * Makes trouble while a story runs: each fault begins and ends on its own, and several overlap. At least one
 * silo is left running.
 */
export class Swarm {
  readonly #cluster: SimulatedCluster;
  readonly #names: readonly string[];
  /** What has begun so far: a run with these instead of a drawn choice is the same run. */
  readonly begun: Fault[] = [];
  /** Silos that start or stop. */
  readonly #moving = new Map<string, Promise<unknown>>();
  /** Aborted when there is to be no more trouble: then nothing is left that waits for the next. */
  readonly #stop = new AbortController();
  readonly #clock: Clock;
  #running: Promise<void> | undefined;

  /** `names`: of all silos that may ever be. */
  constructor(cluster: SimulatedCluster, names: readonly string[], clock: Clock) {
    this.#cluster = cluster;
    this.#names = names;
    this.#clock = clock;
    setMaxListeners(0, this.#stop.signal); // one for each fault that lasts
  }

  /** `faults`: by time. */
  begin(faults: Iterable<Fault>): void {
    this.#running = this.#make(faults);
  }

  /** Makes no more trouble; resolves when silos that were to start or stop have done so. */
  async stop(): Promise<void> {
    this.#stop.abort();
    this.#cluster.calm();
    await Promise.all(this.#moving.values());
    await this.#running;
  }

  async #make(faults: Iterable<Fault>): Promise<void> {
    const beganAt = this.#cluster.now;
    for (const fault of faults) {
      await sleep(this.#clock, beganAt + fault.atMs - this.#cluster.now, this.#stop.signal);
      if (this.#stopped) return;
      this.begun.push(fault);
      this.#strike(fault);
    }
  }

  #strike({ kind, lastsMs, draw }: Fault): void {
    const { names } = this.#cluster;
    const trouble = troubles[kind]({
      cluster: this.#cluster,
      random: new SeededRandom(draw, kind),
      silos: names.filter((name) => !this.#moving.has(name)),
      moving: [...this.#moving.keys()],
      absent: this.#names.filter((name) => !names.includes(name) && !this.#moving.has(name)),
      move: (name, act) => this.#move(name, act),
    });
    if (trouble) void this.#cluster.sleep(lastsMs).then(() => this.#stopped || trouble());
  }

  get #stopped(): boolean {
    return this.#stop.signal.aborted;
  }

  /** Some starts are refused: by a silo of that name that still runs, or for a clock that went back. */
  #move(name: string, act: () => Promise<unknown>): void {
    if (this.#moving.has(name)) return;
    const moving = act().catch((error) => this.#cluster.note(`${name}: ${String(error)}`));
    this.#moving.set(name, moving);
    void moving.finally(() => this.#moving.delete(name));
  }
}
