import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { Client, type ClientOptions } from 'granary';
import { nats } from 'granary/nats';
import { expect } from 'vitest';
import { unpack } from '../../framework/serialization/codec.ts';
import { machineNow } from '../support/machine-clock.ts';
import { type NatsServer, startNats } from '../support/nats-server.ts';
import { type PostgresServer, startPostgres } from '../support/postgres.ts';
import { TemporaryFolder } from '../support/processes.ts';
import type { Books } from './books.ts';
import { Chronicle } from './chronicle.ts';
import { linearizabilityProblem, mergeHistory, violations } from './history.ts';
import type { Load } from './load.ts';
import { Recorder } from './programs/recorder.ts';
import type { SiloState, TurnSpan } from './programs/silo.ts';
import { RemoteLoad } from './remote-load.ts';
import { SiloProcess } from './silo-process.ts';
import { SETTINGS, WriteLog } from './write-log.ts';

/** All of a cluster's silos share it. */
const DATABASE = 'granary';

let clusters = 0;

/** Where a process runs, and what it finds there. */
export interface Site {
  /** This machine's own network by default. */
  readonly namespace?: string;
  /** URLs of NATS. */
  readonly servers: string;
  /** The URL of the database. */
  readonly database: string;
}

/** The real thing: silos in processes of their own, a nats-server, a PostgreSQL, and a client in the test. */
export class ProcessCluster {
  readonly postgres: PostgresServer;
  readonly #nats: NatsServer | undefined;
  readonly #name: string;
  readonly #site: Site;
  readonly #silos = new Map<string, SiloProcess>();
  readonly #clients: Client[] = [];
  readonly #loads: RemoteLoad[] = [];
  readonly #histories = new TemporaryFolder();
  readonly #chronicle = new Chronicle();
  #writes: WriteLog | undefined;
  #files = 0;

  private constructor(postgres: PostgresServer, site: Site, natsServer?: NatsServer) {
    this.postgres = postgres;
    this.#nats = natsServer;
    this.#site = site;
    this.#name = `test-${++clusters}`;
  }

  static async start(names: readonly string[] = ['a', 'b', 'c']): Promise<ProcessCluster> {
    const [natsServer, postgres] = await Promise.all([startNats(), startPostgres({ settings: SETTINGS })]);
    const site = { servers: natsServer.url, database: await postgres.createDatabase(DATABASE) };
    const cluster = new ProcessCluster(postgres, site, natsServer);
    await cluster.#begin(names.map((name) => [name, site]));
    return cluster;
  }

  /** A cluster over several sites, each silo at one of them. Servers are whoever's called them into being. */
  static async over(postgres: PostgresServer, silos: ReadonlyMap<string, Site>): Promise<ProcessCluster> {
    const cluster = new ProcessCluster(postgres, [...silos.values()][0] as Site);
    await cluster.#begin([...silos]);
    return cluster;
  }

  async #begin(silos: readonly [name: string, site: Site][]): Promise<void> {
    await Promise.all(silos.map(([name, site]) => this.startSilo(name, site)));
    this.#writes = await WriteLog.begin(this.postgres, DATABASE);
    await this.settled();
  }

  get names(): string[] {
    return [...this.#silos.keys()];
  }

  /** The one nats-server. */
  get nats(): NatsServer {
    if (!this.#nats) throw new Error('this cluster has several NATS servers');
    return this.#nats;
  }

  silo(name: string): SiloProcess {
    const silo = this.#silos.get(name);
    if (!silo) throw new Error(`no silo '${name}' runs`);
    return silo;
  }

  async connect(options: Partial<ClientOptions> = {}): Promise<Client> {
    const recorder = new Recorder(this.#historyFile('client'));
    const client = await Client.connect({
      ...{ cluster: this.#name, transport: nats({ servers: this.#site.servers }), log: 'silent' },
      ...{ onEvent: recorder.record, ...options },
    });
    recorder.name(client.address);
    this.#clients.push(client);
    return client;
  }

  /** A client in a process of its own, which begins to call. */
  async startLoad(site: Site, keys: readonly string[], callTimeoutMs: number): Promise<RemoteLoad> {
    const load = await RemoteLoad.start(
      {
        ...{ cluster: this.#name, servers: site.servers, keys, callTimeoutMs },
        history: this.#historyFile('client'),
      },
      site.namespace,
    );
    this.#loads.push(load);
    return load;
  }

  async startSilo(name: string, site = this.#site): Promise<SiloProcess> {
    const { servers, database, namespace } = site;
    this.#chronicle.changing();
    const silo = await SiloProcess.start(
      { ...{ cluster: this.#name, name, servers, database }, history: this.#historyFile(name) },
      namespace,
    );
    this.#silos.set(name, silo);
    return silo;
  }

  #historyFile(name: string): string {
    return join(this.#histories.path, `${++this.#files}-${name}.jsonl`);
  }

  /** Stops a silo in order; returns what it did. */
  async stopSilo(name: string): Promise<SiloState> {
    const silo = this.silo(name);
    this.#silos.delete(name);
    this.#chronicle.changing();
    const { state, exit } = await silo.stop();
    expect(exit, silo.program.output).toEqual({ code: 0, signal: null });
    return state;
  }

  /** `kill -9`; returns when it was. */
  killSilo(name: string): number {
    const silo = this.silo(name);
    this.#silos.delete(name);
    const at = silo.kill9();
    this.#chronicle.crashed(silo.address);
    return at;
  }

  /** SIGSTOP; resolves with when it was. */
  async freeze(name: string): Promise<number> {
    const { program, address } = this.silo(name);
    this.#chronicle.broken();
    const at = machineNow();
    await program.sigstop();
    this.#chronicle.paused(address);
    return at;
  }

  /** SIGCONT; returns when it was. */
  thaw(name: string): number {
    const { program, address } = this.silo(name);
    this.#chronicle.resumed(address);
    program.sigcont();
    return machineNow();
  }

  /** To be called before the network is broken. It is whole again when the cluster has settled. */
  breaking(): void {
    this.#chronicle.broken();
  }

  states(): Promise<SiloState[]> {
    return Promise.all([...this.#silos.values()].map((silo) => silo.state()));
  }

  /** Resolves when all silos that run see each other, and nothing is under way. */
  async settled(timeoutMs = 20_000): Promise<void> {
    let from = 0;
    const unsettled = async () => {
      from = machineNow();
      return this.#unsettled(await this.states());
    };
    await expect.poll(unsettled, { timeout: timeoutMs, interval: 50 }).toEqual([]);
    this.#chronicle.agreed(from);
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
    const { rows } = await this.postgres.session(DATABASE, (client) =>
      client.query<{ key: string; data: Uint8Array }>(
        `SELECT key, data FROM granary.records WHERE type = 'Counter'`,
      ),
    );
    return new Map(
      rows.map(({ key, data }) => [key, (unpack(data.subarray(1)) as { count: number }).count] as const),
    );
  }

  /**
   * Where grains are. Silos are asked one after the other, and a grain that returns home meanwhile is seen
   * in two places: so it counts when two looks have seen the same.
   */
  async #places(): Promise<Awaited<ReturnType<ProcessCluster['activations']>>> {
    let before = await this.activations();
    for (;;) {
      await this.settled();
      const now = await this.activations();
      if (isDeepStrictEqual(before, now)) return now;
      before = now;
    }
  }

  /**
   * Nothing that was acknowledged is missing, nothing was done twice, reads say what is stored, and each
   * grain is active once.
   */
  async expectIntact(...loads: readonly (Load | RemoteLoad)[]): Promise<void> {
    await this.settled();
    const keys = [...new Set(loads.flatMap((load) => load.keys))];
    const reader = (key: string) => loads.find((load) => load.keys.includes(key)) as Load | RemoteLoad;
    const read = new Map(
      await Promise.all(keys.map(async (key) => [key, await reader(key).read(key)] as const)),
    );
    const [stored, activations] = [await this.stored(), await this.#places()];
    const wrong: string[] = [];
    for (const key of keys) {
      const acknowledged = loads.reduce((sum, load) => sum + load.acknowledged(key), 0);
      const most = loads.reduce((sum, load) => sum + load.unknown(key), acknowledged);
      const count = stored.get(key) ?? 0;
      if (count < acknowledged || count > most) {
        wrong.push(`${key}: stored ${count}, expected ${acknowledged} to ${most}`);
      }
      if (read.get(key) !== count) wrong.push(`${key}: stored ${count}, read ${read.get(key)}`);
      const places = (activations.get(`Counter/${key}`) ?? []).map(({ silo }) => silo);
      if (places.length !== 1) wrong.push(`${key}: active on ${places.join(' and ') || 'no silo'}`);
      const counts = loads.flatMap((load) => load.answers(key).map((answer) => answer.count));
      if (new Set(counts).size < counts.length) wrong.push(`${key}: one count was acknowledged twice`);
    }
    expect(wrong).toEqual([]);
  }

  /**
   * The history up to here breaks none of the invariants, and each counter did what a counter does. No call
   * may be under way. Returns how many things happened.
   */
  async expectFlawless(books: readonly Books[], { reads = true } = {}): Promise<number> {
    const applied = (await this.#writes?.read()) ?? [];
    const history = mergeHistory(this.#histories.path, this.#chronicle, applied);
    expect(violations(history)).toEqual([]);
    expect(linearizabilityProblem(books, { reads })).toBeUndefined();
    return history.length;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#clients.map((client) => client.close()));
    await Promise.all([...this.#silos.values()].map((silo) => silo.program[Symbol.asyncDispose]()));
    await Promise.all(this.#loads.map((load) => load.program[Symbol.asyncDispose]()));
    await Promise.all([this.#nats?.stop(), this.postgres.stop(), this.#histories[Symbol.asyncDispose]()]);
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
