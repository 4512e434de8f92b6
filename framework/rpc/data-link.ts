import { isNodeAddress, type NodeAddress } from '../identity/silo-address.ts';
import type { RuntimeEvents } from '../observability/events.ts';
import { decodeFrame, encodeFrame } from '../serialization/frame.ts';
import type { Clock } from '../system/clock.ts';
import type { Endpoint } from '../transport/transport.ts';
import { FRAME, type Item, isCount, PART, RECEIPT } from './frames.ts';
import { Inbox } from './inbox.ts';
import { LargeItems, type Ticketed } from './large-items.ts';
import { Reassembly } from './reassembly.ts';
import { ReceivedFrames } from './received-frames.ts';

export type { Ticketed } from './large-items.ts';

interface Outbox {
  readonly to: NodeAddress;
  /** Of the last frame. A frame that arrives twice is known by it. */
  number: number;
  items: Item[];
  riders: (Ticketed | undefined)[];
}

/** Nodes whose empty outboxes are kept, which saves making them anew. */
const OUTBOXES = 1_000;

/**
 * The data lane in frames. Everything that one tick produces for one node leaves as one message, in order:
 * the first item of a tick asks for a flush after the JavaScript that runs now, so a lone call leaves at once
 * and a thousand share one message. What is large leaves in parts, beside that (`LargeItems`), and is put
 * together again by the receiver.
 */
export class DataLink {
  readonly #self: NodeAddress;
  readonly #clock: Clock;
  readonly #events: RuntimeEvents;
  readonly #outboxes = new Map<NodeAddress, Outbox>();
  readonly #reassembly: Reassembly;
  #dirty: Outbox[] = [];
  #endpoint: Endpoint | undefined;
  readonly #large: LargeItems;
  #asked = false;
  #lastTicket = 0;
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
    this.#large = new LargeItems(self, clock, () => ++this.#lastTicket);
    this.#inbox = new Inbox(clock, (from, item) => {
      if (Array.isArray(item)) this.onItem(from, item);
      else this.malformed(from);
    });
  }

  attach(endpoint: Endpoint): void {
    this.#endpoint = endpoint;
    this.#large.attach(endpoint);
  }

  /** Sends an item with this tick's frame. `rider` learns the ticket when the frame leaves. */
  send(to: NodeAddress, item: Item, rider?: Ticketed): void {
    if (!this.#asked) {
      this.#asked = true;
      this.#clock.defer(this.#flush);
    }
    if (this.#large.takes(to, item)) return this.#large.add(to, item, rider);
    let outbox = this.#outboxes.get(to);
    if (!outbox) {
      // Above all that went to this node before, should it have been forgotten meanwhile.
      outbox = { to, number: this.#forgotten, items: [], riders: [] };
      this.#outboxes.set(to, outbox);
    }
    if (outbox.items.length === 0) this.#dirty.push(outbox);
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
    if (version === PART) return this.#takePart(from, frame);
    if (version === RECEIPT) return this.#large.received(from, frame[2], frame[3]);
    if (version !== FRAME) return this.#drop(`frame version ${String(version)} from ${from}`);
    const number = frame[2];
    if (!isCount(number) || number === 0) return this.#drop(`a frame without a number from ${from}`);
    if (!this.#received.take(from, number)) return;
    this.#inbox.add(from, frame, 3);
  }

  #takePart(from: NodeAddress, frame: unknown[]): void {
    const { whole, received } = this.#reassembly.add(from, frame);
    if (received !== undefined) {
      const receipt = encodeFrame([RECEIPT, this.#self, frame[2], received]);
      this.#endpoint?.send('data', from, receipt, ++this.#lastTicket);
    }
    if (!whole) return;
    let items: unknown[];
    try {
      items = decodeFrame(whole);
    } catch {
      return this.#drop(`parts from ${from} that make no sense together`);
    }
    this.#inbox.add(from, items, 0);
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

  /** Whether an item that was sent has not left yet, or not all of it. */
  holds(to: NodeAddress, item: Item): boolean {
    return this.#large.holds(to, item);
  }

  /** Nobody reads a stream any more: what is pending of it need not leave. */
  withdraw(to: NodeAddress, stream: number): void {
    this.#large.withdraw(to, stream);
  }

  /** The transport found nobody at `to`. */
  undeliverable(to: NodeAddress, ticket: number): void {
    this.#large.undeliverable(to, ticket);
  }

  /** Sends all that is pending now, also what would leave part by part: this node is about to close. */
  flushNow(): void {
    this.#flush();
    this.#large.sendAll();
  }

  /** The node ends at once: what has come and was not looked at yet is as good as not received. */
  stopListening(): void {
    this.#inbox.close();
  }

  /** The node is about to go: takes in at once what comes now, and sends what is pending. */
  finish(): void {
    this.#inbox.stopSlicing();
    this.flushNow();
  }

  close(): void {
    this.flushNow();
    this.#large.close();
    this.#endpoint = undefined;
  }

  readonly #flush = (): void => {
    this.#asked = false;
    const dirty = this.#dirty;
    this.#dirty = [];
    for (const outbox of dirty) {
      const { items, riders } = outbox;
      outbox.items = [];
      outbox.riders = [];
      this.#sendItems(outbox, items, riders);
    }
    this.#large.pump();
    // Clients come and go, and nobody says when one is gone for good.
    if (this.#outboxes.size > OUTBOXES) for (const to of this.#outboxes.keys()) this.forget(to);
  };

  #sendItems(outbox: Outbox, items: Item[], riders: (Ticketed | undefined)[]): void {
    const endpoint = this.#endpoint;
    if (!endpoint || items.length === 0) return;
    const { to } = outbox;
    const bytes = encodeFrame([FRAME, this.#self, outbox.number + 1, ...items]);
    if (bytes.length > endpoint.maxPayloadBytes) return this.#sendHalves(outbox, items, riders);
    outbox.number++;
    const ticket = ++this.#lastTicket;
    for (const rider of riders) if (rider) rider.ticket = ticket;
    endpoint.send('data', to, bytes, ticket);
  }

  #sendHalves(outbox: Outbox, items: Item[], riders: (Ticketed | undefined)[]): void {
    const half = items.length >> 1;
    // A server that takes little may find one large that usually is not.
    if (half === 0) return this.#large.add(outbox.to, items[0] as Item, riders[0]);
    this.#sendItems(outbox, items.slice(0, half), riders.slice(0, half));
    const later: number[] = [];
    for (let i = half; i < items.length; i++) {
      if (this.#large.takes(outbox.to, items[i] as Item))
        this.#large.add(outbox.to, items[i] as Item, riders[i]);
      else later.push(i);
    }
    const second = later.map((i) => items[i] as Item);
    this.#sendItems(
      outbox,
      second,
      later.map((i) => riders[i]),
    );
  }

  #drop(reason: string): void {
    this.#events.publish({ type: 'messageDropped', lane: 'data', reason });
  }
}
