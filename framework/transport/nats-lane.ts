import { Events, type Msg, type NatsConnection, type Subscription } from 'nats';
import { systemClock } from '../system/clock.ts';

/** How long `close` waits for the server to say that it has everything. */
const DRAIN_MS = 2_000;

/**
 * One NATS connection, as the endpoint wants it. What matters of the `nats` package (2.29, lib/nats-base-client/protocol.js):
 *
 * - `publish` writes into an array and flushes it to the socket in a microtask, or at once beyond 32 kB. So a message leaves
 *   the process before anything else happens, and the messages of a tick leave together; no timer is involved.
 * - Subscription callbacks run inside the loop that reads the socket. **One that throws ends that loop**, and with it, silently,
 *   all receiving. `subscribe` catches.
 * - Payloads are views of what the socket read: nothing is copied, and keeping 10 bytes keeps the chunk (up to 64 kB).
 * - Without a connection `publish` still accepts: the messages leave with the next connection, or, when an attempt at one begins,
 *   are dropped. Both without a word. So the endpoint must not publish while `up` is false.
 * - Subscriptions are sent again, before anything else, when the connection is back.
 * - Events come through async iterators, a few microtasks after the fact.
 * - An iterator from `status()` does not end when the connection closes; `closed()` resolves.
 * - `drain` while disconnected never settles, as it waits for a PONG that cannot come.
 */
export class NatsLane {
  /** Told whenever `up` changes. */
  changed: () => void = () => {};
  /** The first subscription that the server refused, if any. */
  refused: Error | undefined;
  readonly #connection: NatsConnection;
  #up = true;
  #maxPayloadBytes = 0;

  constructor(connection: NatsConnection) {
    this.#connection = connection;
    this.#readInfo();
    void this.#watch();
    void connection.closed().then(() => this.#set(false));
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

  subscribe(subject: string, queue: string | undefined, received: (message: Msg) => void): Subscription {
    const callback = (error: Error | null, message: Msg) => {
      if (error) {
        this.refused ??= error;
        return;
      }
      try {
        received(message);
      } catch (thrown) {
        // Not here (see above), but where the process hears of it.
        systemClock.defer(() => {
          throw thrown;
        });
      }
    };
    return this.#connection.subscribe(subject, queue === undefined ? { callback } : { callback, queue });
  }

  flush(): Promise<void> {
    return this.#up ? this.#connection.flush() : Promise.reject(new Error('not connected'));
  }

  /** Takes in what is on its way, sends what is pending, disconnects. Never rejects. */
  async close(): Promise<void> {
    if (this.#up && !this.#connection.isClosed()) {
      const drained = this.#connection.drain().catch(() => {});
      await new Promise<void>((resolve) => {
        const timer = systemClock.after(DRAIN_MS, resolve);
        const { changed } = this;
        this.changed = () => {
          changed();
          resolve();
        };
        void drained.then(() => {
          timer.cancel();
          resolve();
        });
      });
    }
    await this.#connection.close().catch(() => {});
  }

  async #watch(): Promise<void> {
    for await (const { type } of this.#connection.status()) {
      if (type === Events.Disconnect) this.#set(false);
      else if (type === Events.Reconnect) this.#set(true);
    }
  }

  #set(up: boolean): void {
    if (up === this.#up) return;
    if (up) this.#readInfo();
    this.#up = up;
    this.changed();
  }

  #readInfo(): void {
    this.#maxPayloadBytes = this.#connection.info?.max_payload ?? this.#maxPayloadBytes;
  }
}
