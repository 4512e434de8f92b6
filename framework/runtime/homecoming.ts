import type { Directory } from '../directory/directory.ts';
import { Grain } from '../grain/grain.ts';
import { type NodeAddress, nodeName } from '../identity/silo-address.ts';
import type { RuntimeEvents } from '../observability/events.ts';
import type { Clock, Timer } from '../system/clock.ts';
import type { Activation } from './activation.ts';
import type { Catalog } from './catalog.ts';
import type { Placer } from './placer.ts';

export interface HomecomingOptions {
  readonly clock: Clock;
  readonly events: RuntimeEvents;
  readonly directory: Directory;
  readonly catalog: Catalog;
  readonly placer: Placer;
  /** Activations that set out in a second, at most; 0: none. */
  readonly perSecond: number;
}

const TICKS_PER_SECOND = 4;
/** Activations looked at in one tick, so that a million of them hold up nobody. */
const LOOKS = 2_000;
/** When all have been looked at and some were busy: how long until the next look. */
const PAUSE_MS = 10_000;

/**
 * Sends activations home that are away: those that stayed where they were when a silo joined or left and the
 * ring changed. Slowly, and only while nothing runs or waits there, so that nobody notices: being away costs
 * an entry in the directory and a hop for callers who do not know yet, which is no hurry. They move with
 * their state fields and what they dehydrate. A grain that is kept alive, or has timers, and dehydrates
 * nothing stays, since it would lose what it is kept for; so does one that was sent where it is.
 */
export class Homecoming {
  readonly #options: HomecomingOptions;
  readonly #unsubscribe: () => void;
  #activations: Iterator<Activation> | undefined;
  #someAway = false;
  #timer: Timer | undefined;

  constructor(options: HomecomingOptions) {
    this.#options = options;
    const begin = () => this.#begin(1_000 / TICKS_PER_SECOND);
    this.#unsubscribe = options.perSecond > 0 ? options.events.subscribe(begin, ['eraSettled']) : () => {};
  }

  stop(): void {
    this.#unsubscribe();
    this.#timer?.cancel();
  }

  /** Looks at all activations anew. */
  #begin(inMs: number): void {
    this.#activations = undefined;
    this.#someAway = false;
    this.#arm(inMs);
  }

  #arm(inMs: number): void {
    this.#timer?.cancel();
    this.#timer = this.#options.clock.inBackground(inMs, () => this.#tick());
  }

  #tick(): void {
    const { clock, catalog, directory, perSecond } = this.#options;
    const tickMs = 1_000 / TICKS_PER_SECOND;
    if (!directory.settled) return this.#arm(tickMs);
    this.#activations ??= catalog.all();
    let budget = Math.max(1, Math.round(perSecond / TICKS_PER_SECOND));
    for (let looks = LOOKS; looks > 0 && budget > 0; looks--) {
      const { value, done } = this.#activations.next();
      if (done) {
        if (this.#someAway) this.#begin(PAUSE_MS);
        return;
      }
      const home = this.#homeOf(value);
      if (home === undefined || home === directory.self) continue;
      this.#someAway = true;
      if (mayMove(value, nodeName(home), clock.now())) budget--;
    }
    this.#arm(tickMs);
  }

  #homeOf({ type, id, partition, stays }: Activation): NodeAddress | undefined {
    return stays ? undefined : this.#options.placer.home(type, id, partition);
  }
}

/**
 * Moves an activation, if nobody notices; false when it is busy, or would lose too much. By name: the silo
 * that decides may lack the class, and not know what it prefers; it would have the grain go on where it is.
 */
function mayMove(activation: Activation, to: string, now: number): boolean {
  if (!activation.isQuiet) return false;
  const { records, prefers } = activation.type;
  const move = { to, stays: false };
  if (carries(activation)) activation.migrate(move);
  else if (isKept(activation, now) || activation.timers?.isRunning) return false;
  else if (records.length > 0 || prefers) activation.migrate(move);
  else activation.deactivate('migrated'); // there is nothing to carry: its next call finds it at home
  return true;
}

/** Whether it was asked to keep it alive. */
export function isKept({ type, keepUntil, timers }: Activation, now: number): boolean {
  return type.keepAlive || keepUntil > now || timers?.keepsAlive === true;
}

/** Whether the grain says what is to be taken along. */
export function carries({ type }: Activation): boolean {
  return type.Class.prototype.onDehydrate !== Grain.prototype.onDehydrate;
}
