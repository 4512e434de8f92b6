/** A promise with its ends in hand. */
export interface Deferred<T = void> {
  readonly promise: Promise<T>;
  resolve(value: T): void;
  reject(error: unknown): void;
}

export function deferred<T = void>(): Deferred<T> {
  let resolve!: (value: T) => void;
  let reject!: (error: unknown) => void;
  const promise = new Promise<T>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  return { promise, resolve, reject };
}

interface Spot {
  readonly reached: Deferred;
  readonly released: Deferred;
  visits: number;
}

/**
 * Holds grains in the middle of a turn: a grain says where it is and waits there until the test, which knows
 * that it is there, lets it go on. Works since a test and its silos share a process.
 */
export class Stage {
  readonly #spots = new Map<string, Spot>();

  /** For the grain: says that it is here, and waits until it may go on. */
  async hold(place: string): Promise<void> {
    await this.pass(place).released.promise;
  }

  /** For the grain: says that it has been here. */
  pass(place: string): Spot {
    const spot = this.#spot(place);
    spot.visits++;
    spot.reached.resolve();
    return spot;
  }

  /** For the test: resolves when a grain is or was here. */
  reached(place: string): Promise<void> {
    return this.#spot(place).reached.promise;
  }

  visits(place: string): number {
    return this.#spot(place).visits;
  }

  /** For the test: whoever is here, or will come, goes on. */
  release(...places: string[]): void {
    for (const place of places) this.#spot(place).released.resolve();
  }

  #spot(place: string): Spot {
    let spot = this.#spots.get(place);
    if (!spot) {
      spot = { reached: deferred(), released: deferred(), visits: 0 };
      this.#spots.set(place, spot);
    }
    return spot;
  }
}
