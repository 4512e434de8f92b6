import { type NatsServer, startNats } from '../support/nats-server.ts';
import { NetworkNamespaces } from '../support/network-namespaces.ts';
import { type PostgresServer, startPostgres } from '../support/postgres.ts';
import type { Site } from './process-cluster.ts';
import { SETTINGS } from './write-log.ts';

const NATS = 'nats';
const DATABASE = 'database';
const ROUTES_PORT = 6222;
const CLIENT_PORT = 4222;

/**
 * What a NATS cluster should have when a split matters: see docs/nats-cluster.md. The server's own defaults
 * notice a dead route after minutes.
 */
const NOTICE_SOON = ['ping_interval: "1s"', 'ping_max: 2', 'write_deadline: "2s"'];

/**
 * Sites with a nats-server each, all one NATS cluster, in networks of their own; and a PostgreSQL that every
 * site reaches by another network.
 */
export class NatsSites implements AsyncDisposable {
  readonly postgres: PostgresServer;
  readonly #network: NetworkNamespaces;
  readonly #servers: ReadonlyMap<string, NatsServer>;

  private constructor(
    network: NetworkNamespaces,
    servers: ReadonlyMap<string, NatsServer>,
    postgres: PostgresServer,
  ) {
    this.#network = network;
    this.#servers = servers;
    this.postgres = postgres;
  }

  static async start(names: readonly string[], settings = NOTICE_SOON): Promise<NatsSites> {
    const network = new NetworkNamespaces([...names, DATABASE], [NATS, DATABASE]);
    const addresses = names.map((name) => network.host(name).address(NATS));
    const routes = addresses.map((address) => `"nats://${address}:${ROUTES_PORT}"`).join(', ');
    const servers = names.map(async (name): Promise<[string, NatsServer]> => {
      const { namespace, address } = network.host(name);
      const listen = `listen: "${address(NATS)}:${ROUTES_PORT}"`;
      const cluster = `cluster: { name: test, ${listen}, routes: [${routes}] }`;
      const at = { namespace, address: address(NATS) };
      const config = [`server_name: ${name}`, cluster, ...settings].join('\n');
      return [name, await startNats({ at, port: CLIENT_PORT, config })];
    });
    const { namespace, address } = network.host(DATABASE);
    const postgres = startPostgres({ settings: SETTINGS, at: { namespace, address: address(DATABASE) } });
    return new NatsSites(network, new Map(await Promise.all(servers)), await postgres);
  }

  site(name: string, database: string): Site {
    return { namespace: this.#network.host(name).namespace, servers: this.server(name).url, database };
  }

  server(name: string): NatsServer {
    const server = this.#servers.get(name);
    if (!server) throw new Error(`there is no site '${name}'`);
    return server;
  }

  /** Cuts sites off from the NATS of the others, and what it is to be cut off, from PostgreSQL too. */
  split(names: readonly string[], from: { readonly database: boolean } = { database: false }): void {
    this.#network.split(NATS, names);
    if (from.database) this.#network.split(DATABASE, names);
  }

  heal(): void {
    this.#network.heal(NATS);
    this.#network.heal(DATABASE);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#servers.values(), this.postgres].map((server) => server.stop()));
    await this.#network[Symbol.asyncDispose]();
  }
}
