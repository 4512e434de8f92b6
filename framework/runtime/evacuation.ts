import type { Directory } from '../directory/directory.ts';
import type { RuntimeEvents } from '../observability/events.ts';
import type { Clock } from '../system/clock.ts';
import type { Activation } from './activation.ts';
import type { Catalog } from './catalog.ts';
import { carries, isKept } from './homecoming.ts';
import type { Moves } from './moves.ts';
import type { Workers } from './workers.ts';

export interface EvacuationOptions {
  readonly clock: Clock;
  readonly events: RuntimeEvents;
  readonly directory: Directory;
  readonly catalog: Catalog;
  readonly workers: Workers;
  readonly moves: Moves;
  /** How long turns may take that still run, in milliseconds. */
  readonly drainMs: number;
}

/**
 * Empties a silo that is off the ring: its activations end when their turns have. Those that are kept alive,
 * or have something to take along, move at once; all others begin anew when they are called.
 */
export class Evacuation {
  readonly #options: EvacuationOptions;
  readonly #waiting = new Set<() => void>();

  constructor(options: EvacuationOptions) {
    this.#options = options;
    options.moves.onIdle = () => this.lookAgain();
  }

  /** Resolves when nothing is left, or after `drainMs`. True when nothing is left. */
  async run(): Promise<boolean> {
    const { clock, events, directory, catalog, workers, drainMs } = this.#options;
    const elsewhere = new Set(directory.era.active.flatMap(({ types }) => types));
    for (const activation of [...catalog.all()]) evict(activation, clock.now(), elsewhere);
    workers.endIdle();
    if (this.#isEmpty) return true;
    // Turns that run may still need workers, also new ones.
    const stop = events.subscribe(() => clock.defer(() => workers.endIdle()), ['turnEnded']);
    return new Promise((resolve) => {
      const done = (empty: boolean) => {
        stop();
        timer.cancel();
        this.#waiting.delete(whenEmpty);
        resolve(empty);
      };
      const whenEmpty = () => done(true);
      const timer = clock.after(drainMs, () => done(false));
      this.#waiting.add(whenEmpty);
    });
  }

  /** Something has gone. */
  lookAgain(): void {
    if (this.#waiting.size > 0 && this.#isEmpty) for (const done of [...this.#waiting]) done();
  }

  get #isEmpty(): boolean {
    const { catalog, workers, moves } = this.#options;
    return catalog.size === 0 && moves.size === 0 && workers.all().next().done === true;
  }
}

/** `elsewhere`: the classes that other silos have. A grain that nobody can take is told of a shutdown. */
function evict(activation: Activation, now: number, elsewhere: ReadonlySet<string>): void {
  const moves = isKept(activation, now) || carries(activation);
  if (moves && elsewhere.has(activation.type.name)) activation.migrate({ to: undefined, stays: false });
  else activation.deactivate('shutdown');
}
