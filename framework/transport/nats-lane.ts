import { DebugEvents, type Msg, type NatsConnection, type Subscription } from 'nats';
import { systemClock } from '../system/clock.ts';

/** How long `close` waits for the server to say that it has everything. */
const DRAIN_MS = 2_000;

/** Comes back with a connection, however long it takes; rejects when the signal aborts. */
export type Reconnect = (signal: AbortSignal) => Promise<NatsConnection>;

/** What a lane is subscribed to, over all of its connections. */
export interface LaneSubscription {
  readonly subject: string;
  readonly options: {
    readonly callback: (error: Error | null, message: Msg) => void;
    readonly queue?: string;
  };
  current?: Subscription;
}

/**
 * A lane of one node: a NATS connection, and after its loss the next one, with the same subscriptions.
 *
 * What matters of the `nats` package (2.29, lib/nats-base-client/protocol.js):
 *
 * - `publish` writes into an array and flushes it to the socket in a microtask, or at once beyond 32 kB. So a
 *   message leaves the process before anything else happens, and the messages of a tick leave together; no
 *   timer is involved.
 * - Subscription callbacks run inside the loop that reads the socket. One that throws ends that loop, and
 *   with it, silently, all receiving. `subscribe` catches.
 * - Payloads are views of what the socket read: nothing is copied, and keeping 10 bytes keeps the chunk (up
 *   to 64 kB).
 * - `flush` and `drain` of a connection that closes meanwhile never settle: they wait for a PONG that cannot
 *   come.
 * - When pings stay unanswered it first waits for the socket to take what is pending, which a server that
 *   reads nothing never lets happen. `closeWhenStale` does not wait.
 * - A subscription that the server refuses is told to its callback, before the PONG of the next `flush`.
 */
export class NatsLane {
  /** Told whenever `up` changes. */
  changed: () => void = () => {};
  /** Why the server refused a subscription, if it refused any. */
  refused: Error | undefined;
  readonly #reconnect: Reconnect;
  readonly #subscriptions = new Set<LaneSubscription>();
  /** What waits for this connection and must be told when it closes. */
  readonly #waiting = new Set<() => void>();
  readonly #closing = new AbortController();
  #connection: NatsConnection;
  #up = true;
  #maxPayloadBytes = 0;

  constructor(connection: NatsConnection, reconnect: Reconnect) {
    this.#reconnect = reconnect;
    this.#connection = connection;
    this.#use(connection);
  }

  get up(): boolean {
    return this.#up;
  }

  get maxPayloadBytes(): number {
    return this.#maxPayloadBytes;
  }

  /** False when nothing was sent: the connection is gone, is closing, or takes less than it said. */
  publish(subject: string, payload: Uint8Array, reply?: string): boolean {
    if (!this.#up) return false;
    try {
      this.#connection.publish(subject, payload, reply === undefined ? undefined : { reply });
      return true;
    } catch {
      return false;
    }
  }

  subscribe(subject: string, received: (message: Msg) => void, queue?: string): LaneSubscription {
    const callback = (error: Error | null, message: Msg) => {
      if (error) this.refused ??= error;
      else this.#receive(received, message);
    };
    const options = queue === undefined ? { callback } : { callback, queue };
    const subscription: LaneSubscription = { subject, options };
    this.#subscriptions.add(subscription);
    if (!this.#connection.isClosed()) subscription.current = this.#connection.subscribe(subject, options);
    return subscription;
  }

  /** What the server has sent already still comes. */
  unsubscribe(subscription: LaneSubscription): void {
    this.#subscriptions.delete(subscription);
    subscription.current?.drain().catch(() => {});
  }

  /** Resolves when the server has what was sent. Rejects when the connection closes before. */
  async flush(): Promise<void> {
    const flushed = this.#up && (await this.#settled(this.#connection.flush()));
    if (!flushed) throw new Error('the connection was lost');
  }

  /** Takes in what is on its way, sends what is pending, disconnects. Never rejects. */
  async close(): Promise<void> {
    this.#closing.abort();
    if (this.#up && !this.#connection.isClosed()) await this.#settled(this.#drain(), DRAIN_MS);
    await this.#connection.close().catch(() => {});
  }

  /**
   * `drain` of the connection itself lets nothing be published once the last message has come in, and what
   * that message leads to is sent only at the end of its tick.
   */
  async #drain(): Promise<void> {
    await Promise.all([...this.#subscriptions].map(({ current }) => current?.drain()));
    await new Promise<void>((resolve) => systemClock.after(0, resolve));
    await this.#connection.flush();
  }

  #use(connection: NatsConnection): void {
    this.#connection = connection;
    this.#maxPayloadBytes = connection.info?.max_payload ?? this.#maxPayloadBytes;
    void connection.closed().then(() => this.#lost());
    void closeWhenStale(connection);
  }

  #lost(): void {
    this.#set(false);
    for (const tell of [...this.#waiting]) tell();
    if (!this.#closing.signal.aborted) void this.#restore();
  }

  async #restore(): Promise<void> {
    try {
      const connection = await this.#reconnect(this.#closing.signal);
      if (this.#closing.signal.aborted) return void connection.close();
      this.#use(connection);
      for (const subscription of this.#subscriptions) {
        subscription.current = connection.subscribe(subscription.subject, subscription.options);
      }
      // If it is lost again right here, `#lost` begins anew.
      if (await this.#settled(connection.flush())) this.#set(true);
    } catch {
      // Closing.
    }
  }

  #set(up: boolean): void {
    if (up === this.#up) return;
    this.#up = up;
    this.changed();
  }

  #receive(received: (message: Msg) => void, message: Msg): void {
    try {
      received(message);
    } catch (thrown) {
      // Not here (see above), but where the process hears of it.
      systemClock.defer(() => {
        throw thrown;
      });
    }
  }

  /** Whether `work` succeeded before the connection closed, and before `limitMs`. */
  #settled(work: Promise<unknown>, limitMs?: number): Promise<boolean> {
    return new Promise((resolve) => {
      const settle = (success: boolean) => {
        timer?.cancel();
        this.#waiting.delete(fail);
        resolve(success);
      };
      const fail = () => settle(false);
      const timer = limitMs === undefined ? undefined : systemClock.after(limitMs, fail);
      this.#waiting.add(fail);
      work.then(() => settle(true), fail);
    });
  }
}

async function closeWhenStale(connection: NatsConnection): Promise<void> {
  // Without an end: it goes with the connection.
  for await (const { type } of connection.status()) {
    if (type === DebugEvents.StaleConnection) await connection.close();
  }
}
