import type { Records } from '../storage/records.ts';
import type { ActivationServices } from './activation-services.ts';

/**
 * Whether what an activation has read from the store is known to be what is stored. Somebody else may have
 * written since a silo came back from an absence: then the etags are compared before the next turn.
 */
export class Freshness {
  readonly #services: ActivationServices;
  /** As of which of the silos' returns the records are known to be current. */
  #returns: number;
  #doubts = 0;
  checking = false;

  constructor(services: ActivationServices) {
    this.#services = services;
    this.#returns = services.returns();
  }

  get isKnown(): boolean {
    return this.#returns === this.#services.returns();
  }

  /** Whatever is known of them: the records are to be compared before the next turn. */
  doubt(): void {
    this.#doubts++;
    this.#returns = -1;
  }

  /** Compares; resolves to why the records are not to be trusted, if so. Never rejects. */
  async check(records: Records): Promise<'stateConflict' | 'storeFailed' | undefined> {
    const returns = this.#services.returns();
    const doubts = this.#doubts;
    this.checking = true;
    try {
      return (await records.isCurrent()) ? undefined : 'stateConflict';
    } catch {
      return 'storeFailed'; // nothing is known: the next activation reads it, or says why not
    } finally {
      this.checking = false;
      if (this.#doubts === doubts) this.#returns = returns;
    }
  }
}
