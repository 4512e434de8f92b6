import { createConnection } from 'node:net';
import { type ConnectionOptions, connect, ErrorCode, type NatsConnection } from 'nats';
import { type NatsServer, type NatsServers, parseAnnounced, serverText } from './nats-servers.ts';

/** One attempt at one server. A server that takes longer is not one to lean on, and another may be there. */
const ATTEMPT_MS = 2_000;

/**
 * Makes connections, each attempt at the next server of the list.
 *
 * Every connection is a new one of the `nats` package: its own reconnecting is off. It leaves an attempt that
 * took too long half open; when the server, awake again, closes that, the package takes it for the loss of
 * the good connection, opens another and keeps the good one too, and from then on every message arrives twice
 * (2.29.3; test/conformance/transports-nats.test.ts). For the same reason an attempt first listens, on a
 * socket of our own, whether the server speaks at all.
 */
export class Dialer {
  readonly #options: ConnectionOptions;
  readonly #given: readonly NatsServer[];
  /** Those given, and those that the last server announced. */
  #servers: readonly NatsServer[];
  #next: number;

  /** `first`: the index of the server to begin with, so that nodes spread over the servers. */
  constructor(servers: NatsServers, options: ConnectionOptions, first: number) {
    this.#given = servers.servers;
    this.#servers = servers.servers;
    this.#options = { ...servers.credentials, ...options, reconnect: false };
    this.#next = first;
  }

  /** One connection, or why not. */
  async attempt(limitMs: number): Promise<NatsConnection> {
    const server = this.#servers[this.#next++ % this.#servers.length] as NatsServer;
    const timeout = Math.max(1, Math.min(ATTEMPT_MS, limitMs));
    // With a TLS handshake first it is the client that speaks.
    if (!this.#options.tls?.handshakeFirst) await speaks(server, timeout);
    const connection = await connect({ ...this.#options, servers: serverText(server), timeout });
    if (!this.#options.ignoreClusterUpdates) this.#learn(connection.info?.connect_urls ?? []);
    return connection;
  }

  #learn(announced: readonly string[]): void {
    const servers = new Map(this.#given.map((server) => [serverText(server), server]));
    for (const server of announced.map(parseAnnounced)) if (server) servers.set(serverText(server), server);
    this.#servers = [...servers.values()];
  }
}

/** Resolves when the server says something; the first word is its own. */
async function speaks({ hostname, port }: NatsServer, timeout: number): Promise<void> {
  const socket = createConnection({ host: hostname, port, timeout });
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once('data', () => resolve());
      socket.once('error', reject);
      socket.once('timeout', () => reject(new Error(`nothing heard for ${timeout} ms`)));
      socket.once('close', () => reject(new Error('the server closed the connection')));
    });
  } finally {
    socket.destroy();
  }
}

const MISCONFIGURED: ReadonlySet<unknown> = new Set([
  ErrorCode.AuthorizationViolation,
  ErrorCode.AuthenticationExpired,
  ErrorCode.AccountExpired,
  ErrorCode.BadAuthentication,
  ErrorCode.BadCreds,
  ErrorCode.InvalidOption,
  ErrorCode.NotFunction,
  ErrorCode.ServerOptionNotAvailable,
  ErrorCode.ApiError,
]);

/** Whether trying again is pointless until somebody changes the options, or the server's configuration. */
export function isMisconfigured(error: unknown): boolean {
  return error instanceof Error && MISCONFIGURED.has((error as { code?: unknown }).code);
}

/** Why an attempt failed, for a message. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return 'no reason given';
  if (error instanceof AggregateError) return error.errors.map(reasonOf).join(', ');
  const { code, chainedError } = error as { code?: unknown; chainedError?: unknown };
  const reason = error.message || String(code);
  return chainedError instanceof Error ? `${reason}: ${chainedError.message}` : reason;
}
