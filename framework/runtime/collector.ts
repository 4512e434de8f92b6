import type { Clock, Timer } from '../system/clock.ts';
import type { Activation } from './activation.ts';

export interface CollectorOptions {
  readonly clock: Clock;
  /** Milliseconds without a call after which an activation goes, where its class does not say. */
  readonly idleMs: number;
}

/**
 * Activations looked at in one go, and goes in a tick while there are more: a million that are idle at once
 * end over minutes, and hold up no call for longer than a millisecond.
 */
const BATCH = 250;
const BATCHES = 20;

/**
 * Collects idle activations. Each waits in the list of the moment at which it would be idle if nothing came;
 * when that has come it goes, or waits anew. So an activation that is used costs one look per idle time,
 * however often it is used.
 */
export class Collector {
  readonly #options: CollectorOptions;
  readonly #tickMs: number;
  readonly #due = new Map<number, Activation[]>();
  #tick: number;
  #timer: Timer | undefined;

  constructor(options: CollectorOptions, shortestIdleMs: number) {
    this.#options = options;
    this.#tickMs = Math.min(Math.max(shortestIdleMs / 4, 5), 1_000);
    this.#tick = this.#tickAt(options.clock.now());
    this.#arm();
  }

  /** A new activation. */
  add(activation: Activation): void {
    if (!activation.type.keepAlive) this.#wait(activation, activation.lastUsedAt);
  }

  stop(): void {
    this.#timer?.cancel();
  }

  #tickAt(now: number): number {
    return Math.ceil(now / this.#tickMs);
  }

  #wait(activation: Activation, usedAt: number): void {
    const idleAt = Math.max(usedAt + (activation.type.idleMs ?? this.#options.idleMs), activation.keepUntil);
    const tick = Math.max(this.#tickAt(idleAt), this.#tick + 1);
    const list = this.#due.get(tick);
    if (list) list.push(activation);
    else this.#due.set(tick, [activation]);
  }

  #arm(delayMs = this.#tickMs): void {
    this.#timer = this.#options.clock.inBackground(delayMs, () => this.#collect());
  }

  #collect(): void {
    const { clock, idleMs } = this.#options;
    const now = clock.now();
    const until = Math.floor(now / this.#tickMs);
    let budget = BATCH;
    while (this.#tick <= until && budget > 0) {
      const list = this.#due.get(this.#tick) ?? [];
      for (; list.length > 0 && budget > 0; budget--) {
        const activation = list.pop() as Activation;
        if (activation.state === 'gone') continue;
        if (activation.isIdle(now, idleMs)) activation.deactivate('idle');
        else if (activation.timers?.keepsAlive) this.#wait(activation, now);
        else this.#wait(activation, Math.max(activation.lastUsedAt, now - idleMs));
      }
      if (list.length > 0) break;
      this.#due.delete(this.#tick++);
    }
    this.#arm(budget > 0 ? this.#tickMs : this.#tickMs / BATCHES);
  }
}
