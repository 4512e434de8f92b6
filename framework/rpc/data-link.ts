import { isNodeAddress, type NodeAddress } from '../identity/silo-address.ts';
import type { RuntimeEvents } from '../observability/events.ts';
import { decodeFrame, encodeFrame } from '../serialization/frame.ts';
import type { Clock } from '../system/clock.ts';
import type { Endpoint } from '../transport/transport.ts';
import { FRAME, type Item, isCount, PART } from './frames.ts';
import { Inbox } from './inbox.ts';
import { Reassembly } from './reassembly.ts';
import { ReceivedFrames } from './received-frames.ts';

/** Told the ticket that something left with, so that it can be found again if nobody received it. */
export interface Ticketed {
  ticket: number;
}

interface Outbox {
  readonly to: NodeAddress;
  /** Of the last frame. A frame that arrives twice is known by it. */
  number: number;
  items: Item[];
  riders: (Ticketed | undefined)[];
}

/** Nodes whose empty outboxes are kept, which saves making them anew. */
const OUTBOXES = 1_000;
/** Bytes that a part's header and encoding may take beside its payload. */
const PART_OVERHEAD = 512;

/**
 * The data lane in frames. Everything that one tick produces for one node leaves as one message, in order:
 * the first item of a tick asks for a flush after the JavaScript that runs now, so a lone call leaves at once
 * and a thousand share one message. What does not fit into one message is cut, and put together again by the
 * receiver.
 */
export class DataLink {
  readonly #self: NodeAddress;
  readonly #clock: Clock;
  readonly #events: RuntimeEvents;
  readonly #outboxes = new Map<NodeAddress, Outbox>();
  readonly #reassembly: Reassembly;
  #dirty: Outbox[] = [];
  #endpoint: Endpoint | undefined;
  #lastTicket = 0;
  #lastMessage = 0;
  readonly #received = new ReceivedFrames();
  readonly #inbox: Inbox;
  /** The highest number that a frame had to a node whose outbox has been let go of. */
  #forgotten = 0;

  onItem: (from: NodeAddress, item: Item) => void = () => {};

  constructor(self: NodeAddress, clock: Clock, events: RuntimeEvents) {
    this.#self = self;
    this.#clock = clock;
    this.#events = events;
    this.#reassembly = new Reassembly(clock);
    this.#inbox = new Inbox(clock, (from, item) => {
      if (Array.isArray(item)) this.onItem(from, item);
      else this.malformed(from);
    });
  }

  attach(endpoint: Endpoint): void {
    this.#endpoint = endpoint;
  }

  /** Sends an item with this tick's frame. `rider` learns the ticket when the frame leaves. */
  send(to: NodeAddress, item: Item, rider?: Ticketed): void {
    let outbox = this.#outboxes.get(to);
    if (!outbox) {
      // Above all that went to this node before, should it have been forgotten meanwhile.
      outbox = { to, number: this.#forgotten, items: [], riders: [] };
      this.#outboxes.set(to, outbox);
    }
    if (outbox.items.length === 0) {
      if (this.#dirty.length === 0) this.#clock.defer(this.#flush);
      this.#dirty.push(outbox);
    }
    outbox.items.push(item);
    outbox.riders.push(rider);
  }

  receive(payload: Uint8Array): void {
    let frame: unknown[];
    try {
      frame = decodeFrame(payload);
    } catch {
      return this.#drop('not a frame');
    }
    const [version, from] = frame;
    if (!isNodeAddress(from)) return this.#drop('a frame without a sender');
    if (version === PART) {
      const whole = this.#reassembly.add(from, frame);
      if (whole) this.receive(whole);
      return;
    }
    if (version !== FRAME) return this.#drop(`frame version ${String(version)} from ${from}`);
    const number = frame[2];
    if (!isCount(number) || number === 0) return this.#drop(`a frame without a number from ${from}`);
    if (!this.#received.take(from, number)) return;
    this.#inbox.add(from, frame, 3);
  }

  /** Counts something that arrived and made no sense. */
  malformed(from: NodeAddress): void {
    this.#drop(`a malformed item from ${from}`);
  }

  /** Lets go of a node's outbox, unless something is in it. */
  forget(node: NodeAddress): void {
    const outbox = this.#outboxes.get(node);
    if (outbox?.items.length !== 0) return;
    this.#forgotten = Math.max(this.#forgotten, outbox.number);
    this.#outboxes.delete(node);
  }

  /** Sends what is pending now instead of at the end of the tick. */
  readonly flushNow = (): void => this.#flush();

  /** The node is about to go: takes in at once what comes now, and sends what is pending. */
  finish(): void {
    this.#inbox.stopSlicing();
    this.#flush();
  }

  close(): void {
    this.#flush();
    this.#endpoint = undefined;
  }

  readonly #flush = (): void => {
    const dirty = this.#dirty;
    this.#dirty = [];
    for (const outbox of dirty) {
      const { items, riders } = outbox;
      outbox.items = [];
      outbox.riders = [];
      this.#sendItems(outbox, items, riders);
    }
    // Clients come and go, and nobody says when one is gone for good.
    if (this.#outboxes.size > OUTBOXES) for (const to of this.#outboxes.keys()) this.forget(to);
  };

  #sendItems(outbox: Outbox, items: Item[], riders: (Ticketed | undefined)[]): void {
    const endpoint = this.#endpoint;
    if (!endpoint || items.length === 0) return;
    const { to } = outbox;
    const bytes = encodeFrame([FRAME, this.#self, outbox.number + 1, ...items]);
    if (bytes.length > endpoint.maxPayloadBytes && items.length > 1) {
      const half = items.length >> 1;
      this.#sendItems(outbox, items.slice(0, half), riders.slice(0, half));
      this.#sendItems(outbox, items.slice(half), riders.slice(half));
      return;
    }
    outbox.number++;
    const ticket = ++this.#lastTicket;
    for (const rider of riders) if (rider) rider.ticket = ticket;
    if (bytes.length <= endpoint.maxPayloadBytes) endpoint.send('data', to, bytes, ticket);
    else this.#sendParts(endpoint, to, bytes, ticket);
  }

  #sendParts(endpoint: Endpoint, to: NodeAddress, bytes: Uint8Array, ticket: number): void {
    const size = endpoint.maxPayloadBytes - PART_OVERHEAD;
    const count = Math.ceil(bytes.length / size);
    const message = ++this.#lastMessage;
    for (let index = 0; index < count; index++) {
      const piece = bytes.subarray(index * size, (index + 1) * size);
      endpoint.send('data', to, encodeFrame([PART, this.#self, message, index, count, piece]), ticket);
    }
  }

  #drop(reason: string): void {
    this.#events.publish({ type: 'messageDropped', lane: 'data', reason });
  }
}
