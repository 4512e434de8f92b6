import type { Msg } from 'nats';
import { assert, InvalidConfigError, SiloUnavailableError } from '../errors.ts';
import type { NodeAddress } from '../identity/silo-address.ts';
import { systemClock } from '../system/clock.ts';
import type { LaneSubscription, NatsLane } from './nats-lane.ts';
import { QUEUE, Subjects } from './nats-subjects.ts';
import type { Endpoint, Lane, OpenOptions, Receiver } from './transport.ts';

/** What the server answers on the reply subject of a message that nobody got: no payload, and this status. */
const NO_RESPONDERS = 503;

/** One node on NATS. It owns the node's two connections. */
export class NatsEndpoint implements Endpoint {
  /** Two silos that start together connect within this of each other, on a busy machine too. */
  readonly discoveryMs = 200;
  readonly #lanes: Readonly<Record<Lane, NatsLane>>;
  readonly #address: NodeAddress;
  readonly #receiver: Receiver;
  readonly #subjects: Subjects;
  #connected = true;
  #closing: Promise<void> | undefined;
  #closed = false;
  /** What this node has while it serves. */
  #serving: (readonly [NatsLane, LaneSubscription])[] = [];

  constructor(lanes: Readonly<Record<Lane, NatsLane>>, { cluster, address, receiver }: OpenOptions) {
    this.#lanes = lanes;
    this.#address = address;
    this.#receiver = receiver;
    this.#subjects = new Subjects(cluster, address);
  }

  /** Subscribes, and makes sure that the server allows it. */
  async listen(): Promise<void> {
    const { data, control } = this.#lanes;
    for (const lane of ['data', 'control'] as const) {
      const received = (message: Msg) => this.#receiver.received(lane, message.data);
      this.#lanes[lane].subscribe(this.#subjects.node(lane, this.#address), received);
      this.#lanes[lane].subscribe(this.#subjects.returns(lane), (message) => this.#returned(lane, message));
    }
    control.subscribe(this.#subjects.all, (message) => this.#receiver.received('control', message.data));
    await this.flush();
    for (const lane of [data, control]) lane.changed = () => this.#laneChanged();
    this.#connected = data.up && control.up;
  }

  get connected(): boolean {
    return this.#connected;
  }

  get maxPayloadBytes(): number {
    return Math.min(this.#lanes.data.maxPayloadBytes, this.#lanes.control.maxPayloadBytes);
  }

  send(lane: Lane, to: NodeAddress, payload: Uint8Array, ticket: number): void {
    if (to === this.#address) this.#sendToSelf(lane, payload, ticket);
    else this.#publish(lane, this.#subjects.node(lane, to), payload, to, ticket);
  }

  sendToAnySilo(payload: Uint8Array, ticket: number): void {
    this.#publish('control', this.#subjects.any, payload, undefined, ticket);
  }

  broadcast(payload: Uint8Array): void {
    this.#checkSize(payload);
    if (this.#connected) this.#lanes.control.publish(this.#subjects.all, payload);
  }

  serve(): void {
    if (this.#serving.length > 0 || this.#closing) return;
    const { data, control } = this.#lanes;
    const toAny = (message: Msg) => this.#receiver.received('control', message.data);
    this.#serving = [
      [control, control.subscribe(this.#subjects.any, toAny, QUEUE)],
      [data, data.subscribe(this.#subjects.calls, (message) => this.#plainCall(message), QUEUE)],
    ];
  }

  unserve(): void {
    for (const [lane, subscription] of this.#serving) lane.unsubscribe(subscription);
    this.#serving = [];
  }

  async flush(): Promise<void> {
    try {
      await Promise.all([this.#lanes.data.flush(), this.#lanes.control.flush()]);
    } catch (cause) {
      throw new SiloUnavailableError(
        `${this.#address}: the connection to NATS was lost before everything was sent`,
        { cause },
      );
    }
    const refused = this.#lanes.data.refused ?? this.#lanes.control.refused;
    if (!refused) return;
    const hint = 'its user needs to publish and subscribe to granary.<cluster>.>, and to publish to _INBOX.>';
    throw new InvalidConfigError(`nats(): the server refused a subscription: ${refused.message}; ${hint}`, {
      cause: refused,
    });
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    // Until both lanes are drained the node still hears, and still answers, what was on its way.
    await Promise.all([this.#lanes.data.close(), this.#lanes.control.close()]);
    this.#closed = true;
    this.#connected = false;
  }

  #publish(
    lane: Lane,
    subject: string,
    payload: Uint8Array,
    to: NodeAddress | undefined,
    ticket: number,
  ): void {
    this.#checkSize(payload);
    const reply = this.#subjects.return(lane, to, ticket);
    if (this.#connected && this.#lanes[lane].publish(subject, payload, reply)) return;
    this.#later(() => this.#receiver.undeliverable(lane, to, ticket));
  }

  /** Not through the server, which does not echo on the control lane. */
  #sendToSelf(lane: Lane, payload: Uint8Array, ticket: number): void {
    this.#checkSize(payload);
    if (this.#connected) this.#later(() => this.#receiver.received(lane, payload));
    else this.#later(() => this.#receiver.undeliverable(lane, this.#address, ticket));
  }

  #checkSize(payload: Uint8Array): void {
    const limit = this.maxPayloadBytes;
    assert(
      payload.length <= limit,
      `a message of ${payload.length} bytes is over the transport's limit of ${limit}`,
    );
  }

  #later(action: () => void): void {
    systemClock.defer(() => {
      if (!this.#closed) action();
    });
  }

  #laneChanged(): void {
    const connected = this.#lanes.data.up && this.#lanes.control.up;
    if (connected === this.#connected || this.#closing) return;
    this.#connected = connected;
    this.#receiver.connectionChanged(connected);
  }

  #returned(lane: Lane, message: Msg): void {
    if (message.data.length > 0 || !isNoResponders(message)) return;
    const returned = this.#subjects.parseReturn(lane, message.subject);
    if (returned) this.#receiver.undeliverable(lane, returned.to, returned.ticket);
  }

  #plainCall(message: Msg): void {
    const { reply } = message;
    this.#receiver.plainCall({
      tokens: this.#subjects.callTokens(message.subject),
      payload: message.data,
      respond: (payload) => {
        this.#checkSize(payload);
        if (reply) this.#lanes.data.publish(reply, payload);
      },
    });
  }
}

/** Anybody may send anything to any subject, and the `nats` package throws on some headers. */
function isNoResponders(message: Msg): boolean {
  try {
    return message.headers?.code === NO_RESPONDERS;
  } catch {
    return false;
  }
}
