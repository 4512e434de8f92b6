import { setTimeout as wait } from 'node:timers/promises';
import { type ConnectionOptions, connect, ErrorCode, type NatsConnection } from 'nats';
import { InvalidConfigError, SiloUnavailableError } from '../errors.ts';
import { systemClock } from '../system/clock.ts';
import { NatsEndpoint } from './nats-endpoint.ts';
import { NatsLane } from './nats-lane.ts';
import { type NatsServers, parseServers } from './nats-servers.ts';
import { checkOpenOptions, checkWhole } from './open-options.ts';
import type { Endpoint, Lane, OpenOptions, Transport } from './transport.ts';

/** What Granary sets itself: its promises rest on these. */
type Owned =
  | 'servers'
  | 'port'
  | 'noEcho'
  | 'reconnect'
  | 'maxReconnectAttempts'
  | 'reconnectDelayHandler'
  | 'ignoreAuthErrorAbort'
  | 'waitOnFirstConnect';

export interface NatsOptions {
  /** URLs of NATS servers, as `nats://user:pass@host:4222`; one text may hold several, with commas. */
  readonly servers: string | readonly string[];
  /** What the server's monitoring calls the connections, before their address and lane. `granary` by default. */
  readonly name?: string;
  /** How long `open` tries to reach a server. 5,000 by default. */
  readonly connectTimeoutMs?: number;
  /** More options for the `nats` package: credentials (`user`, `pass`, `token`, `authenticator`), `tls`, … */
  readonly connection?: Omit<ConnectionOptions, Owned>;
}

/**
 * A cluster over NATS. Each node has two connections, one for each lane, which reconnect for ever.
 *
 * Throws `InvalidConfigError`. `open` rejects with it too when the server refuses the credentials or the subjects, and with
 * `SiloUnavailableError` when no server was reached in time.
 */
export function nats(options: NatsOptions): Transport {
  const { name = 'granary', connectTimeoutMs = 5_000, connection = {} } = options ?? {};
  checkWhole('nats()', 'connectTimeoutMs', connectTimeoutMs, 1);
  if (typeof name !== 'string') throw new InvalidConfigError('nats(): name must be a string');
  if (typeof connection !== 'object' || connection === null) {
    throw new InvalidConfigError('nats(): connection must be an object of options for the nats package');
  }
  const settings = { servers: parseServers(options?.servers), name, connectTimeoutMs, connection };
  return { open: (node) => open(settings, node) };
}

interface Settings {
  readonly servers: NatsServers;
  readonly name: string;
  readonly connectTimeoutMs: number;
  readonly connection: Omit<ConnectionOptions, Owned>;
}

async function open(settings: Settings, options: OpenOptions): Promise<Endpoint> {
  checkOpenOptions(options);
  const opened = await Promise.allSettled(
    (['data', 'control'] as const).map((lane) => openLane(settings, options, lane)),
  );
  const lanes = opened.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
  try {
    for (const result of opened) if (result.status === 'rejected') throw result.reason;
    const [data, control] = lanes as [NatsLane, NatsLane];
    const endpoint = new NatsEndpoint({ data, control }, options);
    await endpoint.listen();
    return endpoint;
  } catch (error) {
    await Promise.all(lanes.map((lane) => lane.close()));
    throw error;
  }
}

/** Between attempts: short, as calls wait for it, and different for each node, as thousands may lose one server together. */
const RETRY_MS = 100;
const RETRY_JITTER_MS = 150;
/** One attempt at one server. A server that takes longer is not one to lean on, and another may be there. */
const ATTEMPT_MS = 2_000;
/** A ping every so often, of which two may be missing: a connection that died silently is found in 4 to 6 s. */
const PING_MS = 2_000;

async function openLane(
  settings: Settings,
  { cluster, address }: OpenOptions,
  lane: Lane,
): Promise<NatsLane> {
  const { servers, connectTimeoutMs } = settings;
  const connecting: ConnectionOptions = {
    timeout: Math.min(ATTEMPT_MS, connectTimeoutMs),
    pingInterval: PING_MS,
    maxPingOut: 2,
    reconnectTimeWait: RETRY_MS,
    reconnectJitter: RETRY_JITTER_MS,
    reconnectJitterTLS: RETRY_JITTER_MS,
    ...servers.credentials,
    ...settings.connection,
    servers: [...servers.hosts],
    name: `${settings.name} ${cluster} ${address} ${lane}`,
    reconnect: true,
    maxReconnectAttempts: -1,
    // A server that restarts may refuse credentials until it has loaded them; two refusals must not end the node.
    ignoreAuthErrorAbort: true,
    // `broadcast` and `sendToAnySilo` are for the others.
    noEcho: lane === 'control',
  };
  const deadline = systemClock.now() + connectTimeoutMs;
  for (;;) {
    try {
      return new NatsLane(await before(deadline, connect(connecting)));
    } catch (error) {
      const leftMs = deadline - systemClock.now();
      if (isMisconfigured(error)) throw refusal(servers, error);
      if (leftMs <= RETRY_MS) throw unreachable(servers, connectTimeoutMs, error);
    }
    await wait(RETRY_MS);
  }
}

/** The connection, if it comes in time; if it comes later, it is closed. */
async function before(deadline: number, connecting: Promise<NatsConnection>): Promise<NatsConnection> {
  const timer = new AbortController();
  const late = wait(Math.max(1, deadline - systemClock.now()), undefined, { signal: timer.signal });
  const connection = await Promise.race([connecting, late]).finally(() => timer.abort());
  if (connection) return connection;
  connecting.then(
    (unwanted) => unwanted.close(),
    () => {},
  );
  throw new Error('the server accepts the connection, or the packets for it, and does not answer');
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

function isMisconfigured(error: unknown): boolean {
  return error instanceof Error && MISCONFIGURED.has((error as { code?: unknown }).code);
}

function refusal({ hosts }: NatsServers, cause: unknown): InvalidConfigError {
  const message = `nats(): ${hosts.join(', ')} refused: ${text(cause)}; check servers, credentials and tls`;
  return new InvalidConfigError(message, { cause });
}

function unreachable({ hosts }: NatsServers, timeoutMs: number, cause: unknown): SiloUnavailableError {
  const message = `no NATS server at ${hosts.join(', ')} answered within ${timeoutMs} ms (${text(cause)})`;
  return new SiloUnavailableError(`${message}; check that it runs and that servers names it`, { cause });
}

function text(error: unknown): string {
  if (!(error instanceof Error)) return 'no reason given';
  const { code, chainedError } = error as { code?: unknown; chainedError?: unknown };
  const reason = error.message || String(code);
  return chainedError instanceof Error ? `${reason}: ${chainedError.message}` : reason;
}
