import type { ConnectionOptions, JetStreamClient, JetStreamManager, NatsConnection } from 'nats';
import { EventLogError, GranaryError, InvalidConfigError } from '../errors.ts';
import { sleep, systemClock } from '../system/clock.ts';
import { systemRandom } from '../system/random.ts';
import { Dialer, isMisconfigured, reasonOf } from '../transport/nats-dialer.ts';
import type { NatsServers } from '../transport/nats-servers.ts';

export interface LinkOptions {
  readonly servers: NatsServers;
  readonly name: string;
  readonly connectTimeoutMs: number;
  readonly connection: Partial<ConnectionOptions>;
}

/** A connection as long as it lasts, and JetStream on it. */
export interface Link {
  readonly connection: NatsConnection;
  readonly js: JetStreamClient;
  readonly jsm: JetStreamManager;
}

/** Between two attempts to connect. */
const RETRY_MS = 100;
/** How long the server may take to answer. */
export const ANSWER_MS = 5_000;
/** A ping every so often, of which two may be missing. */
const PING_MS = 2_000;

/**
 * The connection of one node to JetStream, and after its loss the next one: each is new, for the reason that
 * `Dialer` gives.
 */
export class JetStreamLink {
  readonly #options: LinkOptions;
  readonly #dialer: Dialer;
  readonly #closing = new AbortController();
  readonly #listeners = new Set<() => void>();
  /** Questions without an answer: what to do when the connection is lost. */
  readonly #waiting = new Set<() => void>();
  #link: Link | undefined;

  constructor(options: LinkOptions) {
    this.#options = options;
    const { servers, name, connection } = options;
    const settings = { pingInterval: PING_MS, maxPingOut: 2, ...connection, name };
    this.#dialer = new Dialer(servers, settings, Math.floor(systemRandom.next() * servers.servers.length));
  }

  /** Connects for the first time, and makes sure that there is JetStream. */
  async open(): Promise<void> {
    const { connectTimeoutMs, servers } = this.#options;
    const deadline = systemClock.now() + connectTimeoutMs;
    for (;;) {
      try {
        await this.#connect(deadline - systemClock.now());
        await (this.#link as Link).jsm.getAccountInfo();
        return;
      } catch (cause) {
        const where = servers.servers.map(({ hostname, port }) => `${hostname}:${port}`).join(', ');
        if (isMisconfigured(cause))
          throw new InvalidConfigError(`jetStream(): ${where} refused: ${reasonOf(cause)}`, { cause });
        if (deadline - systemClock.now() <= RETRY_MS) {
          const met = this.#link !== undefined;
          await this.close();
          if (met) throw new InvalidConfigError(noJetStream(where, cause), { cause });
          const text = `no NATS server at ${where} answered within ${connectTimeoutMs} ms`;
          throw new EventLogError(`jetStream(): ${text} (${reasonOf(cause)})`, { cause });
        }
      }
      await sleep(systemClock, RETRY_MS);
    }
  }

  /** Asks the server. Rejects with `EventLogError` when it does not answer. */
  async use<T>(act: (link: Link) => Promise<T>): Promise<T> {
    const link = this.#link;
    if (!link) throw new EventLogError('jetStream(): there is no connection to a NATS server now');
    try {
      return await this.#whileThere(act(link));
    } catch (cause) {
      if (cause instanceof GranaryError) throw cause;
      throw new EventLogError(`jetStream(): ${reasonOf(cause)}`, { cause });
    }
  }

  /** Whether this link is still the present one. */
  isCurrent(link: Link | undefined): boolean {
    return link !== undefined && link === this.#link;
  }

  /** Told when a connection is lost. Returns how to stop. */
  onLost(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async close(): Promise<void> {
    this.#closing.abort();
    const link = this.#link;
    this.#link = undefined;
    await link?.connection.close().catch(() => {}); // it is gone either way
  }

  /** What was asked of a connection that is lost would only fail when its time is up. */
  #whileThere<T>(answer: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const lost = () =>
        reject(new EventLogError('jetStream(): the connection was lost before the answer came'));
      this.#waiting.add(lost);
      const settled = () => this.#waiting.delete(lost);
      answer.then(resolve, reject).finally(settled);
    });
  }

  async #connect(limitMs: number): Promise<void> {
    if (this.#link) return;
    const connection = await this.#dialer.attempt(limitMs);
    const jsm = await connection.jetstreamManager({ timeout: ANSWER_MS, checkAPI: false });
    const link: Link = { connection, js: connection.jetstream({ timeout: ANSWER_MS }), jsm };
    if (this.#closing.signal.aborted) return void (await connection.close());
    this.#link = link;
    void connection.closed().then(() => this.#lost(link));
  }

  #lost(link: Link): void {
    if (this.#link !== link) return;
    this.#link = undefined;
    for (const fail of [...this.#waiting]) fail();
    for (const listener of [...this.#listeners]) listener();
    void this.#redial();
  }

  /** Tries for ever, also when refused: a server that restarts may not have loaded its credentials yet. */
  async #redial(): Promise<void> {
    const { signal } = this.#closing;
    while (!this.#link && !signal.aborted) {
      await sleep(systemClock, RETRY_MS * (1 + systemRandom.next()), signal);
      if (signal.aborted) return;
      await this.#connect(Number.POSITIVE_INFINITY).catch(() => {}); // the next attempt is the answer
    }
  }
}

function noJetStream(where: string, cause: unknown): string {
  const what = `the NATS server at ${where} has no JetStream, or its user may not use it`;
  return `jetStream(): ${what} (${reasonOf(cause)}); start it with -js, and allow $JS.API.>`;
}
