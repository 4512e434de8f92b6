import { Client, type ClientOptions } from 'granary';
import { nats } from 'granary/nats';
import pg from 'pg';
import { expect } from 'vitest';
import { unpack } from '../../framework/serialization/codec.ts';
import { type NatsServer, startNats } from '../support/nats-server.ts';
import { type PostgresServer, startPostgres } from '../support/postgres.ts';
import type { Load } from './load.ts';
import type { SiloState, TurnSpan } from './programs/silo.ts';
import { SiloProcess } from './silo-process.ts';

let clusters = 0;

/** The real thing: silos in processes of their own, a nats-server, a PostgreSQL, and a client in the test. */
export class ProcessCluster {
  readonly nats: NatsServer;
  readonly postgres: PostgresServer;
  readonly #name: string;
  readonly #database: string;
  readonly #silos = new Map<string, SiloProcess>();
  readonly #clients: Client[] = [];

  private constructor(natsServer: NatsServer, postgres: PostgresServer, database: string) {
    this.nats = natsServer;
    this.postgres = postgres;
    this.#name = `test-${++clusters}`;
    this.#database = database;
  }

  static async start(names: readonly string[] = ['a', 'b', 'c']): Promise<ProcessCluster> {
    const [natsServer, postgres] = await Promise.all([startNats(), startPostgres()]);
    const cluster = new ProcessCluster(natsServer, postgres, await postgres.createDatabase());
    await Promise.all(names.map((name) => cluster.startSilo(name)));
    await cluster.settled();
    return cluster;
  }

  get names(): string[] {
    return [...this.#silos.keys()];
  }

  silo(name: string): SiloProcess {
    const silo = this.#silos.get(name);
    if (!silo) throw new Error(`no silo '${name}' runs`);
    return silo;
  }

  async connect(options: Partial<ClientOptions> = {}): Promise<Client> {
    const client = await Client.connect({
      ...{ cluster: this.#name, transport: nats({ servers: this.nats.url }), log: 'silent' },
      ...options,
    });
    this.#clients.push(client);
    return client;
  }

  async startSilo(name: string): Promise<SiloProcess> {
    const silo = await SiloProcess.start({
      ...{ cluster: this.#name, name, servers: this.nats.url, database: this.#database },
    });
    this.#silos.set(name, silo);
    return silo;
  }

  /** Stops a silo in order; returns what it did. */
  async stopSilo(name: string): Promise<SiloState> {
    const silo = this.silo(name);
    this.#silos.delete(name);
    const { state, exit } = await silo.stop();
    expect(exit, silo.program.output).toEqual({ code: 0, signal: null });
    return state;
  }

  /** `kill -9`; returns when it was. */
  killSilo(name: string): number {
    const silo = this.silo(name);
    this.#silos.delete(name);
    return silo.kill9();
  }

  states(): Promise<SiloState[]> {
    return Promise.all([...this.#silos.values()].map((silo) => silo.state()));
  }

  /** Resolves when all silos that run see each other, and nothing is under way. */
  async settled(timeoutMs = 20_000): Promise<void> {
    await expect
      .poll(async () => this.#unsettled(await this.states()), { timeout: timeoutMs, interval: 50 })
      .toEqual([]);
  }

  #unsettled(states: readonly SiloState[]): string[] {
    const eras = new Set(states.map(({ era }) => era));
    const open = states.flatMap(({ present, settled }, index) => [
      ...(present.length === states.length ? [] : [`${this.names[index]} sees ${present.join(', ')}`]),
      ...(settled ? [] : [`${this.names[index]} waits`]),
    ]);
    return eras.size > 1 ? [...open, `${eras.size} eras`] : open;
  }

  /** Silo and activation of each grain, wherever it is active. */
  async activations(): Promise<Map<string, { silo: string; activationId: string }[]>> {
    const found = new Map<string, { silo: string; activationId: string }[]>();
    const { names } = this;
    for (const [index, { activations }] of (await this.states()).entries()) {
      for (const [grain, activationId] of activations) {
        const place = { silo: names[index] as string, activationId };
        found.set(grain, [...(found.get(grain) ?? []), place]);
      }
    }
    return found;
  }

  /** Every counter as the database has it, read past Granary. */
  async stored(): Promise<Map<string, number>> {
    const client = new pg.Client({ connectionString: this.#database });
    await client.connect();
    const { rows } = await client.query<{ key: string; data: Uint8Array }>(
      `SELECT key, data FROM granary.records WHERE type = 'Counter'`,
    );
    await client.end();
    return new Map(
      rows.map(({ key, data }) => [key, (unpack(data.subarray(1)) as { count: number }).count] as const),
    );
  }

  /**
   * Nothing that was acknowledged is missing, nothing was done twice, reads say what is stored, and each
   * grain is active once.
   */
  async expectIntact(load: Load): Promise<void> {
    await this.settled();
    const read = new Map(
      await Promise.all(load.keys.map(async (key) => [key, await load.read(key)] as const)),
    );
    const [stored, activations] = [await this.stored(), await this.activations()];
    const wrong: string[] = [];
    for (const key of load.keys) {
      const [least, most] = [load.acknowledged(key), load.acknowledged(key) + load.unknown(key)];
      const count = stored.get(key) ?? 0;
      if (count < least || count > most) wrong.push(`${key}: stored ${count}, expected ${least} to ${most}`);
      if (read.get(key) !== count) wrong.push(`${key}: stored ${count}, read ${read.get(key)}`);
      const places = (activations.get(`Counter/${key}`) ?? []).map(({ silo }) => silo);
      if (places.length !== 1) wrong.push(`${key}: active on ${places.join(' and ') || 'no silo'}`);
      const counts = load.answers(key).map((answer) => answer.count);
      if (new Set(counts).size < counts.length) wrong.push(`${key}: one count was acknowledged twice`);
    }
    expect(wrong).toEqual([]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#clients.map((client) => client.close()));
    await Promise.all([...this.#silos.values()].map((silo) => silo.program[Symbol.asyncDispose]()));
    await Promise.all([this.nats.stop(), this.postgres.stop()]);
  }
}

/** Two activations of one grain that took turns at the same time, in words. */
export function overlaps(spans: readonly TurnSpan[]): string[] {
  const byGrain = new Map<string, TurnSpan[]>();
  for (const span of spans) byGrain.set(span.grain, [...(byGrain.get(span.grain) ?? []), span]);
  return [...byGrain].flatMap(([grain, lives]) => {
    const inOrder = lives.sort((a, b) => a.first - b.first);
    return inOrder.slice(1).flatMap((later, index) => {
      const earlier = inOrder[index] as TurnSpan;
      if (earlier.last <= later.first) return [];
      const ms = (earlier.last - later.first).toFixed(1);
      return [`${grain}: ${earlier.silo} took turns until ${ms} ms after ${later.silo} began`];
    });
  });
}

export function keysOf(count: number, prefix = ''): string[] {
  return Array.from({ length: count }, (_, index) => `${prefix}k${index}`);
}
