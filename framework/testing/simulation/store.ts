import { StoreError } from '../../errors.ts';
import { grainIdOf } from '../../identity/grain-id.ts';
import type { GrainStore, RecordId, StoredRecord } from '../../storage/grain-store.ts';
import type { WorldEvent } from '../invariants/observation.ts';
import type { Engine } from './engine.ts';
import type { Host } from './host.ts';
import type { SimulatedNetwork } from './network.ts';
import type { SeededRandom } from './seeded-random.ts';

/** How stores fare. */
export interface StoreConditions {
  /** Milliseconds that an operation takes, at least, and on average beyond that. */
  readonly latencyMs: number;
  readonly jitterMs: number;
  /** Probability that an operation fails and nothing was written. */
  readonly errors: number;
  /** Probability that a write is applied, and then fails. */
  readonly errorsAfterWrite: number;
  /** Probability that a write is applied, and its caller hears only seconds later of an error. */
  readonly lostAnswers: number;
}

export const STORE_WORKS: StoreConditions = {
  ...{ latencyMs: 0.5, jitterMs: 1 },
  ...{ errors: 0, errorsAfterWrite: 0, lostAnswers: 0 },
};

/** After which a store's client gives an answer up. */
const GIVES_UP_MS = 3_000;

/** What all simulated stores share: the machine they are on, and how it fares. */
export class StoreSite {
  readonly engine: Engine;
  readonly host: Host;
  readonly network: SimulatedNetwork;
  readonly random: SeededRandom;
  readonly tell: (by: Host, event: WorldEvent) => void;
  conditions: StoreConditions = STORE_WORKS;

  constructor(host: Host, network: SimulatedNetwork, tell: (by: Host, event: WorldEvent) => void) {
    this.engine = network.engine;
    this.host = host;
    this.network = network;
    this.random = this.engine.random.fork('store');
    this.tell = tell;
  }

  drawLatency(): number {
    const { latencyMs, jitterMs } = this.conditions;
    return (latencyMs + this.random.exponential(jitterMs)) / 2;
  }
}

/**
 * A store as one silo of a simulation reaches it. A request that has left is carried out, whatever happens to
 * the silo meanwhile; the answer finds the silo, or does not.
 */
export class SimulatedStore implements GrainStore {
  readonly #site: StoreSite;
  readonly #host: Host;
  readonly #store: GrainStore;

  constructor(site: StoreSite, host: Host, store: GrainStore) {
    this.#site = site;
    this.#host = host;
    this.#store = store;
  }

  open(): Promise<void> {
    return this.#site.engine.outside(() => this.#store.open());
  }

  close(): Promise<void> {
    return this.#site.engine.outside(() => this.#store.close());
  }

  read(id: RecordId): Promise<StoredRecord | undefined> {
    return this.ask(false, () => this.#store.read(id));
  }

  write(id: RecordId, data: Uint8Array, etag: string | undefined): Promise<string> {
    return this.ask(true, async () => {
      const written = await this.#store.write(id, data, etag);
      this.#applied(id, etag, written);
      return written;
    });
  }

  clear(id: RecordId, etag: string | undefined): Promise<void> {
    return this.ask(true, async () => {
      await this.#store.clear(id, etag);
      this.#applied(id, etag, undefined);
    });
  }

  #applied(id: RecordId, before: string | undefined, etag: string | undefined): void {
    const grain = grainIdOf(id.type, id.key);
    this.#site.tell(this.#host, { type: 'recordApplied', grain, record: id.name, before, etag });
  }

  protected ask<T>(changes: boolean, act: () => Promise<T>): Promise<T> {
    const site = this.#site;
    const { engine, network, random } = site;
    return new Promise((resolve, reject) => {
      const failed = (text: string, afterMs: number) =>
        this.#host.arrival(afterMs, () => reject(new StoreError(text)));
      if (this.#host.dead) return;
      if (network.cutBetween(this.#host, site.host)) return failed('the store did not answer', GIVES_UP_MS);
      site.host.arrival(site.drawLatency(), () => {
        const { errors, errorsAfterWrite, lostAnswers } = site.conditions;
        if (random.chance(errors)) return failed('the store refused', site.drawLatency());
        const fails = changes && random.chance(errorsAfterWrite);
        const answerIsLost =
          (changes && random.chance(lostAnswers)) || network.cutBetween(site.host, this.#host) !== undefined;
        engine.outside(act).then(
          (result) => {
            if (answerIsLost) failed('the store did not answer', GIVES_UP_MS);
            else if (fails) failed('the connection to the store broke', site.drawLatency());
            else this.#host.arrival(site.drawLatency(), () => resolve(result));
          },
          (error) => this.#host.arrival(site.drawLatency(), () => reject(error)),
        );
      });
    });
  }
}
