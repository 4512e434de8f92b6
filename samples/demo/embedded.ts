import type { Client } from 'granary';
import { type PGliteOptions, pglite } from 'granary/postgres';
import { TestCluster } from 'granary/testing';
import { Account } from '../bank/account.ts';
import { StandingOrder } from '../bank/standing-order.ts';
import { Transfer } from '../bank/transfer.ts';
import { Places } from './places.ts';
import { type Progress, recovered, type SiloState, type Stage, seconds, type Tell } from './stage.ts';

/**
 * Three silos in this process, with their state in PGlite. The test cluster is what can crash one: from one
 * moment to the next nothing that it still runs reaches the network or the store.
 */
export class EmbeddedStage implements Stage {
  readonly title = 'three silos in this process, state in PGlite';
  readonly places = new Places();
  readonly silos = new Map<string, SiloState>();
  readonly store;
  retried = 0;
  #cluster: TestCluster | undefined;

  private constructor(options: PGliteOptions) {
    this.store = pglite(options);
  }

  static async start(): Promise<EmbeddedStage> {
    const stage = new EmbeddedStage({});
    // Opened here too, so that the data outlasts the silos.
    await stage.store.open();
    const names = ['a', 'b', 'c'];
    const cluster = await TestCluster.start({
      silos: names,
      grains: [Account, Transfer, StandingOrder],
      stores: { default: stage.store },
      options: { log: 'error' },
    });
    stage.#cluster = cluster;
    for (const name of names) stage.silos.set(name, 'up');
    cluster.client.subscribe(({ type }) => {
      if (type === 'callRetried') stage.retried++;
    });
    cluster.subscribe((silo, event) => {
      if (event.type === 'callRetried') stage.retried++;
      if (event.type === 'activationReady' && event.grain.startsWith('Account/')) {
        stage.places.seen(event.grain.slice('Account/'.length), silo);
      }
    });
    return stage;
  }

  get client(): Client {
    return this.#running.client;
  }

  async play(progress: Progress, tell: Tell): Promise<void> {
    await progress.reaches(0.25);
    await this.#crash('c', tell);
    await progress.reaches(0.5);
    await this.#leave('b', tell);
    await progress.reaches(0.7);
    await this.#join('b', tell);
  }

  async clear(): Promise<void> {
    await this.#cluster?.[Symbol.asyncDispose]();
    this.#cluster = undefined;
  }

  async end(): Promise<void> {
    await this.clear();
    await this.store.close();
  }

  get #running(): TestCluster {
    if (this.#cluster) return this.#cluster;
    throw new Error('the silos of the demo have stopped');
  }

  async #crash(silo: string, tell: Tell): Promise<void> {
    const lost = this.places.on(silo);
    const start = performance.now();
    this.#running.crash(silo);
    this.silos.set(silo, 'crashed');
    tell(`silo ${silo} crashes, with ${lost.length} accounts`);
    await recovered(this.client, lost);
    tell(`all ${lost.length} answer again: recovered in ${seconds(performance.now() - start)}`);
  }

  async #leave(silo: string, tell: Tell): Promise<void> {
    const start = performance.now();
    this.silos.set(silo, 'leaving');
    tell(`silo ${silo} leaves, with ${this.places.count(silo)} accounts`);
    await this.#running.stop(silo);
    this.silos.set(silo, 'left');
    tell(`silo ${silo} has handed them over and left, in ${seconds(performance.now() - start)}`);
  }

  async #join(silo: string, tell: Tell): Promise<void> {
    const start = performance.now();
    this.silos.set(silo, 'joining');
    tell(`silo ${silo} joins`);
    await this.#running.start(silo);
    this.silos.set(silo, 'up');
    tell(
      `silo ${silo} has joined, in ${seconds(performance.now() - start)}, for what is activated from now on`,
    );
  }
}
