import { systemClock } from '../../system/clock.ts';
import { type Host, outsideOfHosts } from './host.ts';
import { Schedule } from './schedule.ts';
import { SeededRandom } from './seeded-random.ts';
import { TraceHash } from './trace-hash.ts';

/** Before anybody takes the globals over. */
const { setImmediate } = globalThis;

/** Happenings without time going on, after which two hosts are taken to be answering each other for ever. */
const STANDSTILL = 1_000_000;
/** Real milliseconds that a database may take. Virtual time stands still meanwhile, with all deadlines. */
const OUTSIDE_MS = 30_000;

/**
 * Virtual time. One thing happens at a time; then all that follows from it without waiting, promises
 * included, until nothing is left to do but to wait; then time jumps to what happens next. Whether nothing is
 * left, only the event loop knows: each happening is one round of it, about a microsecond.
 */
export class Engine {
  readonly schedule = new Schedule();
  readonly random: SeededRandom;
  readonly hash = new TraceHash();
  /** Virtual milliseconds since the beginning. */
  now = 0;
  /** Happenings so far. */
  events = 0;
  #deferred: { readonly host: Host; readonly act: () => void }[] = [];
  #still = 0;
  /** Answers from outside that time waits for. */
  #outside = 0;
  #failure: { readonly error: unknown } | undefined;

  constructor(seed: number) {
    this.random = new SeededRandom(seed, 'simulation');
  }

  /** Calls back when what follows from the present happening is done, before the next one. */
  defer(host: Host, act: () => void): void {
    this.#deferred.push({ host, act });
  }

  /**
   * Time stands still until something outside of the simulation, a database say, has answered. Its own timers
   * must be real ones: simulated ones would wait for it, as everything does.
   */
  outside<T>(ask: () => Promise<T>): Promise<T> {
    this.#outside++;
    const why = `a store has not answered for ${OUTSIDE_MS / 1_000} real seconds; virtual time waits for it`;
    const late = outsideOfHosts(() => systemClock.after(OUTSIDE_MS, () => this.fail(new Error(why))));
    // What it throws at once is its answer too.
    return outsideOfHosts(async () => ask()).finally(() => {
      late.cancel();
      this.#outside--;
    });
  }

  /** Ends the run: `drive` rejects with the first error. */
  fail(error: unknown): void {
    this.#failure ??= { error };
  }

  /**
   * Lets things happen until `isOver`. Rejects with what `fail` was told, with what a callback threw, or when
   * nothing is left to happen.
   */
  drive(isOver: () => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      const turn = () => {
        if (this.#failure) return reject(this.#failure.error);
        if (this.#deferred.length > 0) this.#runDeferred();
        else if (isOver()) return resolve();
        else if (this.#outside === 0 && !this.#step()) {
          return reject(
            new Error('nothing is left to happen: what is awaited is not part of the simulation'),
          );
        }
        setImmediate(turn);
      };
      setImmediate(turn);
    });
  }

  #runDeferred(): void {
    const deferred = this.#deferred;
    this.#deferred = [];
    for (const { host, act } of deferred) if (!host.dead) this.#run(host, act);
  }

  #step(): boolean {
    const happening = this.schedule.next();
    if (!happening) return false;
    const { host } = happening;
    this.#advance(happening.at);
    if (!host.admits(happening)) return true;
    this.events++;
    this.hash.number(this.now);
    this.hash.word(host.index);
    const act = happening.take();
    if (act) this.#run(host, act);
    return true;
  }

  #advance(at: number): void {
    if (at > this.now) {
      this.now = at;
      this.#still = 0;
    } else if (++this.#still > STANDSTILL) {
      this.fail(new Error(`time stands still: ${STANDSTILL} things happened at ${this.now} ms`));
    }
  }

  #run(host: Host, act: () => void): void {
    try {
      host.run(act);
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      this.fail(new Error(`an exception ended the process of ${host.name}: ${why}`, { cause: error }));
    }
  }
}
