import { AsyncLocalStorage } from 'node:async_hooks';
import type { NodeAddress } from '../../identity/silo-address.ts';
import type { Clock, Timer } from '../../system/clock.ts';
import type { Engine } from './engine.ts';
import type { Happening } from './schedule.ts';
import type { SeededRandom } from './seeded-random.ts';

/** Which host the code that runs now belongs to, awaits included. None: it is outside of any simulation. */
const running = new AsyncLocalStorage<Host | undefined>();

export function currentHost(): Host | undefined {
  return running.getStore();
}

/** Runs code that is no part of the simulation: its time and chance are real. */
export function outsideOfHosts<T>(act: () => T): T {
  return running.run(undefined, act);
}

/** Any day will do, as long as it is always the same. */
const WALL_EPOCH_MS = Date.UTC(2030, 0, 1);

/**
 * One machine of a simulation, with a process on it: its clocks, its timers, and how it fares. All that
 * happens to it passes here, so a paused host finds its overdue timers and its full socket buffers when it
 * goes on, as after SIGSTOP and SIGCONT, and to a dead one nothing happens any more.
 */
export class Host {
  readonly name: string;
  readonly index: number;
  readonly random: SeededRandom;
  readonly clock: Clock;
  readonly #engine: Engine;
  /** Clocks of different machines begin anywhere, and tick at fractions of a millisecond of their own. */
  readonly #origin: number;
  readonly #phase: number;
  /** While paused: what would have happened, in order. */
  #held: Happening[] | undefined;
  #dead = false;
  #busyUntil = 0;
  /** How long everything takes that this host does. */
  costMs = 0;
  /** When it dies, nobody hears of it: its machine goes with it. */
  silent = false;
  /** What the wall clock is wrong by. */
  wallErrorMs = 0;
  onDeath: () => void = () => {};
  /** Of the node that runs here; empty until it is on the network. */
  address: NodeAddress | '' = '';
  /** Timers that run. */
  timers = 0;

  constructor(engine: Engine, name: string, index: number) {
    this.#engine = engine;
    this.name = name;
    this.index = index;
    this.random = engine.random.fork(`${name}-${index}`);
    this.#origin = Math.floor(this.random.between(1_000, 1_000_000));
    this.#phase = this.random.next();
    this.clock = {
      now: () => this.#origin + engine.now,
      recent: () => this.#origin + engine.now,
      wallNow: () => Math.floor(WALL_EPOCH_MS + engine.now + this.wallErrorMs),
      after: (delayMs, callback) => this.timer(delayMs, callback),
      inBackground: (delayMs, callback) => this.timer(delayMs, callback),
      defer: (callback) => engine.defer(this, callback),
      afterIO: (callback) => void this.soon(callback),
    };
  }

  get dead(): boolean {
    return this.#dead;
  }

  get paused(): boolean {
    return this.#held !== undefined;
  }

  /** Not punctual: paused, or slow. */
  get hampered(): boolean {
    return this.paused || this.costMs > 0;
  }

  /** As in Node.js: a whole number of milliseconds, at least one, and those of the same time in order. */
  timer(delayMs: number, callback: () => void): Timer {
    const due = this.#engine.now + Math.max(delayMs, 1);
    this.timers++;
    const at = this.#phase + Math.ceil(due - this.#phase);
    return this.#engine.schedule.plan(at, this, callback, () => this.timers--);
  }

  /** After what happens now, as `setImmediate`. Returns how to cancel it. */
  soon(callback: () => void): () => void {
    this.timers++;
    const happening = this.#engine.schedule.plan(this.#engine.now, this, callback, () => this.timers--);
    return () => happening.cancel();
  }

  /** Something arrives from outside, after a delay. */
  arrival(delayMs: number, act: () => void): void {
    this.#engine.schedule.plan(this.#engine.now + delayMs, this, act);
  }

  /** Runs code as this host's. */
  run<T>(act: () => T): T {
    return running.run(this, act);
  }

  /** Whether what is due may happen now; if not, this host has taken it, or put it off. */
  admits(happening: Happening): boolean {
    if (this.#dead) happening.cancel();
    else if (this.#held) this.#held.push(happening);
    else if (this.#busyUntil > happening.at) {
      happening.at = this.#busyUntil;
      this.#engine.schedule.replan(happening);
    } else {
      if (this.costMs > 0) this.#busyUntil = this.#engine.now + this.costMs;
      return true;
    }
    return false;
  }

  pause(): void {
    this.#held ??= [];
  }

  resume(): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    for (const happening of held) {
      happening.at = this.#engine.now;
      this.#engine.schedule.replan(happening);
    }
  }

  die(): void {
    this.#dead = true;
    this.#held = undefined;
    this.onDeath();
  }
}
