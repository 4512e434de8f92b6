import { setTimeout as wait } from 'node:timers/promises';
import type { ConnectionOptions, NatsConnection } from 'nats';
import { InvalidConfigError, SiloUnavailableError } from '../errors.ts';
import { systemClock } from '../system/clock.ts';
import { systemRandom } from '../system/random.ts';
import { Dialer, isMisconfigured, reasonOf } from './nats-dialer.ts';
import { NatsEndpoint } from './nats-endpoint.ts';
import { NatsLane } from './nats-lane.ts';
import { type NatsServers, parseServers, serverText } from './nats-servers.ts';
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
  | 'waitOnFirstConnect'
  | 'timeout'
  | 'noRandomize'
  | 'reconnectTimeWait'
  | 'reconnectJitter'
  | 'reconnectJitterTLS';

export interface NatsOptions {
  /** URLs of NATS servers, as `nats://user:pass@host:4222`; one text may hold several, with commas. */
  readonly servers: string | readonly string[];
  /**
   * What the server's monitoring calls the connections, before their address and lane. `granary` by default.
   */
  readonly name?: string;
  /** How long `open` tries to reach a server. 5,000 by default. */
  readonly connectTimeoutMs?: number;
  /** More options for the `nats` package: credentials (`user`, `pass`, `token`, `authenticator`), `tls`, … */
  readonly connection?: Omit<ConnectionOptions, Owned>;
}

/**
 * A cluster over NATS. Each node has two connections, one for each lane, which reconnect for ever.
 *
 * Throws `InvalidConfigError`. `open` rejects with it too when the server refuses the credentials or the
 * subjects, and with `SiloUnavailableError` when no server was reached in time.
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

/**
 * Between attempts: short, as calls wait for it, and different for each node, as thousands may lose one
 * server together.
 */
const RETRY_MS = 100;
const RETRY_JITTER_MS = 150;
/**
 * A ping every so often, of which two may be missing: a connection that died silently is found in 4 to 6 s.
 */
const PING_MS = 2_000;

async function openLane(
  settings: Settings,
  { cluster, address }: OpenOptions,
  lane: Lane,
): Promise<NatsLane> {
  const options: ConnectionOptions = {
    pingInterval: PING_MS,
    maxPingOut: 2,
    ...settings.connection,
    name: `${settings.name} ${cluster} ${address} ${lane}`,
    // `broadcast` and `sendToAnySilo` are for the others.
    noEcho: lane === 'control',
  };
  const { servers } = settings.servers;
  const dialer = new Dialer(settings.servers, options, Math.floor(systemRandom.next() * servers.length));
  const connection = await firstConnection(dialer, settings);
  return new NatsLane(connection, (signal) => nextConnection(dialer, signal));
}

async function firstConnection(dialer: Dialer, settings: Settings): Promise<NatsConnection> {
  const { connectTimeoutMs } = settings;
  const servers = settings.servers.servers.map(serverText).join(', ');
  const deadline = systemClock.now() + connectTimeoutMs;
  for (;;) {
    try {
      return await dialer.attempt(deadline - systemClock.now());
    } catch (cause) {
      if (isMisconfigured(cause)) {
        const message = `nats(): ${servers} refused: ${reasonOf(cause)}; check servers, credentials and tls`;
        throw new InvalidConfigError(message, { cause });
      }
      if (deadline - systemClock.now() <= RETRY_MS) {
        const what = `no NATS server at ${servers} answered within ${connectTimeoutMs} ms`;
        const message = `${what} (${reasonOf(cause)}); check that it runs and that servers names it`;
        throw new SiloUnavailableError(message, { cause });
      }
    }
    await wait(RETRY_MS);
  }
}

/**
 * Tries for ever, also when refused: a server that restarts may refuse credentials until it has loaded them.
 */
async function nextConnection(dialer: Dialer, signal: AbortSignal): Promise<NatsConnection> {
  for (;;) {
    await wait(RETRY_MS + systemRandom.next() * RETRY_JITTER_MS, undefined, { signal });
    try {
      return await dialer.attempt(Number.POSITIVE_INFINITY);
    } catch {
      signal.throwIfAborted();
    }
  }
}
