import { setTimeout as pause } from 'node:timers/promises';
import { Client, type GrainStore } from 'granary';
import { nats } from 'granary/nats';
import { postgres } from 'granary/postgres';
import { Account } from '../bank/account.ts';
import type { DemoOptions } from './options.ts';
import { Places } from './places.ts';
import { type Progress, recovered, type SiloState, type Stage, seconds, type Tell } from './stage.ts';

/** How often the client is asked which silos it knows, and the accounts where they are. */
const LOOK_MS = 100;
const CENSUS_MS = 1_000;

/** The silos of a running cluster, seen by a client. Whoever runs them may stop, kill and add some. */
export class RemoteStage implements Stage {
  readonly title: string;
  readonly client: Client;
  readonly places = new Places();
  readonly silos = new Map<string, SiloState>();
  readonly store: GrainStore | undefined;
  retried = 0;
  /** Where the accounts were before the last census, which may hear of moves before the loss is known. */
  #before = new Map<string, readonly string[]>();

  private constructor({ cluster, servers }: DemoOptions, client: Client, store: GrainStore | undefined) {
    this.title = `cluster '${cluster}' at ${servers}`;
    this.client = client;
    this.store = store;
    client.subscribe(({ type }) => {
      if (type === 'callRetried') this.retried++;
    });
  }

  static async connect(options: DemoOptions): Promise<RemoteStage> {
    const { servers = '', cluster, database } = options;
    const store = database === undefined ? undefined : postgres({ url: database });
    await store?.open();
    try {
      const client = await Client.connect({ cluster, transport: nats({ servers }), log: 'error' });
      // Is anybody there, and does it know the bank? Better asked once than a thousand times.
      await client.grain(Account, 'anybody').place();
      return new RemoteStage(options, client, store);
    } catch (error) {
      await store?.close();
      throw error;
    }
  }

  async play(progress: Progress, tell: Tell, accounts: readonly string[]): Promise<void> {
    let over = false;
    const end = progress.reaches(1).then(() => {
      over = true;
    });
    let counted = Number.NEGATIVE_INFINITY;
    const returning: Promise<void>[] = [];
    while (!over) {
      for (const silo of this.#gone()) returning.push(this.#follow(silo, tell));
      for (const silo of this.#come()) tell(`silo ${silo} is there`);
      if (performance.now() - counted >= CENSUS_MS) {
        counted = performance.now();
        this.#count(accounts);
      }
      await Promise.race([end, pause(LOOK_MS)]);
    }
    await Promise.all(returning);
  }

  async clear(): Promise<void> {}

  async end(): Promise<void> {
    await this.client.close();
    await this.store?.close();
  }

  #gone(): string[] {
    const known = new Set(this.client.silos);
    const gone = [...this.silos.keys()].filter((silo) => this.silos.get(silo) === 'up' && !known.has(silo));
    for (const silo of gone) this.silos.set(silo, 'gone');
    return gone;
  }

  #come(): string[] {
    const come = this.client.silos.filter((silo) => this.silos.get(silo) !== 'up');
    for (const silo of come) this.silos.set(silo, 'up');
    return come;
  }

  async #follow(silo: string, tell: Tell): Promise<void> {
    const [now, before] = [this.places.on(silo), this.#before.get(silo) ?? []];
    const lost = now.length < before.length ? before : now;
    const start = performance.now();
    tell(`silo ${silo} is gone, with ${lost.length} accounts`);
    await recovered(this.client, lost);
    tell(`all ${lost.length} answer elsewhere, ${seconds(performance.now() - start)} after that was known`);
  }

  /** What does not answer now is found the next time. */
  #count(accounts: readonly string[]): void {
    this.#before = new Map([...this.silos.keys()].map((silo) => [silo, this.places.on(silo)]));
    for (const key of accounts) {
      this.client
        .grain(Account, key)
        .place()
        .then(
          (silo) => this.places.seen(key, silo),
          () => {},
        );
    }
  }
}
