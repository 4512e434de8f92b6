import type { NodeAddress } from '../identity/silo-address.ts';
import { LIMITS } from '../limits.ts';
import type { Clock, Timer } from '../system/clock.ts';
import type { Endpoint } from '../transport/transport.ts';
import { ITEM, type Item, isCount, PART } from './frames.ts';
import { Pace } from './pace.ts';
import { Pieces } from './parts.ts';

/** Told the ticket that something left with, so that it can be found again if nobody received it. */
export interface Ticketed {
  ticket: number;
}

/** What must keep its order: calls to one grain, by its id, and items of one stream, by its number. */
type Order = string | number;

interface Entry {
  readonly item: Item;
  readonly rider: Ticketed | undefined;
  readonly order: Order | undefined;
}

/** What is under way to one node: a few items in parts. */
interface Shipment {
  readonly number: number;
  readonly entries: readonly Entry[];
  readonly pieces: Pieces;
  readonly partBytes: number;
  readonly count: number;
  ticket: number;
  /** When its first part left, until the receiver has said something. */
  sentAt: number | undefined;
  /** The next part to leave. */
  next: number;
  /** Parts that have come, as far as the receiver has said. */
  received: number;
}

/** What is to go to one node, one shipment after the other. */
interface Queue {
  readonly to: NodeAddress;
  waiting: Entry[];
  shipment: Shipment | undefined;
  /** How many of the entries, under way or waiting, are of each order. */
  readonly orders: Map<Order, number>;
  /** Ticks since the receiver has said something new. */
  silence: number;
  readonly pace: Pace;
}

/** Bytes that a part's header and encoding may take beside its payload. */
const PART_OVERHEAD = 512;
/** Nodes whose pace is known. */
const PACES = 1_000;
/** Bytes of items that are sent together, at most, unless one alone has more. */
const SHIPMENT_BYTES = 256 * 1024;

/**
 * Large items, on their way out. Sent whole, one of 8 MB would hold up for tens of milliseconds whatever is
 * sent to anybody after it: in this process, in its connection, in the server, in the receiver's connection
 * and process. So they leave in parts, of which few are under way at a time: the receiver says how many have
 * come, which lets the next ones go. What is small goes in between.
 *
 * It may overtake what is large, with two exceptions: calls to one grain arrive in the order sent, and items
 * of one stream do, too, or the reader would take the large one for lost. What must not overtake waits in
 * line here, small as it may be.
 *
 * The receiver's word is a position. If it stays away, the part at the last known position is sent again,
 * until the receiver says something or is given up; so parts may be lost, and words of them, but the items
 * are not, while both ends live. A part that is sent again leaves with a ticket that no rider knows: should
 * it bounce, the items may have been received all the same.
 */
export class LargeItems {
  readonly #self: NodeAddress;
  readonly #clock: Clock;
  readonly #nextTicket: () => number;
  readonly #queues = new Map<NodeAddress, Queue>();
  readonly #paces = new Map<NodeAddress, Pace>();
  /** Nothing more waits for the receivers: this node is about to close. */
  #hurries = false;
  #endpoint: Endpoint | undefined;
  #lastNumber = 0;
  #timer: Timer | undefined;

  /** `nextTicket`: tickets are shared with what is sent whole. */
  constructor(self: NodeAddress, clock: Clock, nextTicket: () => number) {
    this.#self = self;
    this.#clock = clock;
    this.#nextTicket = nextTicket;
  }

  attach(endpoint: Endpoint): void {
    this.#endpoint = endpoint;
  }

  /** Whether an item has to go this way: because of its size, or to stay behind what has gone this way. */
  takes(to: NodeAddress, item: Item): boolean {
    return isLarge(item) || (this.#queues.size > 0 && this.#isBehind(to, item));
  }

  /** An item of a stream that is waiting, or under way, already is not sent a second time. */
  add(to: NodeAddress, item: Item, rider: Ticketed | undefined): void {
    const order = orderOf(item);
    // A call is a new item whenever it is sent: nobody looks for it among the thousands that may wait.
    if (typeof order === 'number' && this.holds(to, item)) return;
    let queue = this.#queues.get(to);
    if (!queue) {
      queue = { to, waiting: [], shipment: undefined, orders: new Map(), silence: 0, pace: this.#paceOf(to) };
      this.#queues.set(to, queue);
    }
    if (order !== undefined) queue.orders.set(order, (queue.orders.get(order) ?? 0) + 1);
    queue.waiting.push({ item, rider, order });
    this.#timer ??= this.#clock.inBackground(LIMITS.partSilenceMs, this.#tick);
  }

  /** Whether an item waits, or is under way. */
  holds(to: NodeAddress, item: Item): boolean {
    if (this.#queues.size === 0 || !this.#isBehind(to, item)) return false;
    const { waiting, shipment } = this.#queues.get(to) as Queue;
    const isIt = (entry: Entry) => entry.item === item;
    return waiting.some(isIt) || (shipment?.entries.some(isIt) ?? false);
  }

  #paceOf(to: NodeAddress): Pace {
    let pace = this.#paces.get(to);
    if (!pace) {
      if (this.#paces.size >= PACES) this.#paces.clear();
      pace = new Pace();
      this.#paces.set(to, pace);
    }
    return pace;
  }

  /** Sends what may be sent now. */
  pump(): void {
    for (const queue of this.#queues.values()) this.#send(queue);
  }

  /** Sends everything, from now on at once: this node is about to close. */
  sendAll(): void {
    this.#hurries = true;
    this.pump();
  }

  /** A node says how much of a shipment has come. */
  received(from: NodeAddress, number: unknown, received: unknown): void {
    const queue = this.#queues.get(from);
    const shipment = queue?.shipment;
    if (!queue || !shipment || number !== shipment.number || !isCount(received)) return;
    // The receiver begins anew when it has let go of what it had. It may say so once for each part that is
    // under way, and if it has no room, for each that comes: to answer every word would never end.
    const anew = received === 0 && shipment.received > 0;
    if (received > shipment.count || (received <= shipment.received && !anew)) return;
    queue.silence = 0;
    if (shipment.sentAt !== undefined) queue.pace.roundTrip(this.#clock.now() - shipment.sentAt);
    shipment.sentAt = undefined;
    shipment.received = received;
    shipment.next = anew ? 0 : Math.max(shipment.next, received);
    if (received === shipment.count) this.#settled(queue);
    this.#send(queue);
  }

  /** Nobody reads a stream any more. */
  withdraw(to: NodeAddress, stream: number): void {
    const queue = this.#queues.get(to);
    if (!queue?.orders.has(stream)) return;
    queue.waiting = queue.waiting.filter((entry) => entry.order !== stream);
    queue.orders.delete(stream);
    const ofStream = queue.shipment?.entries.filter((entry) => entry.order === stream).length ?? 0;
    if (ofStream > 0) queue.orders.set(stream, ofStream);
    // What is under way is broken off, unless something else is on the way with it.
    if (ofStream === queue.shipment?.entries.length || !queue.shipment) this.#settled(queue);
    this.#send(queue);
  }

  /**
   * Nobody received what left with a ticket. If that was a shipment, what waits behind it shares its fate:
   * the calls among it are found by the same ticket, and are sent anew in their order.
   */
  undeliverable(to: NodeAddress, ticket: number): void {
    const queue = this.#queues.get(to);
    if (queue?.shipment?.ticket !== ticket) return;
    for (const { rider } of queue.waiting) if (rider) rider.ticket = ticket;
    this.#queues.delete(to);
  }

  close(): void {
    this.#timer?.cancel();
    this.#queues.clear();
    this.#endpoint = undefined;
  }

  #isBehind(to: NodeAddress, item: Item): boolean {
    const order = orderOf(item);
    return order !== undefined && (this.#queues.get(to)?.orders.has(order) ?? false);
  }

  #send(queue: Queue): void {
    const endpoint = this.#endpoint;
    if (!endpoint) return;
    do {
      queue.shipment ??= this.#load(queue, endpoint);
      const { shipment } = queue;
      if (!shipment) return;
      const window = Math.floor(queue.pace.windowBytes / shipment.partBytes);
      const end = this.#hurries ? shipment.count : Math.min(shipment.count, shipment.received + window);
      while (shipment.next < end) this.#sendPart(endpoint, queue.to, shipment, shipment.next++);
      if (this.#hurries) this.#settled(queue);
    } while (this.#hurries);
  }

  #sendPart(endpoint: Endpoint, to: NodeAddress, shipment: Shipment, index: number): void {
    const { number, count, partBytes, pieces, ticket } = shipment;
    const end = Math.min((index + 1) * partBytes, pieces.length);
    const frame = pieces.frame([PART, this.#self, number, index, count], index * partBytes, end);
    endpoint.send('data', to, frame, ticket);
  }

  /** Takes the next items that wait for a shipment. */
  #load({ waiting }: Queue, endpoint: Endpoint): Shipment | undefined {
    let count = 0;
    for (let bytes = 0; count < waiting.length && bytes < SHIPMENT_BYTES; count++) {
      bytes += sizeOf((waiting[count] as Entry).item);
    }
    if (count === 0) return undefined;
    const entries = waiting.splice(0, count);
    const ticket = this.#nextTicket();
    for (const { rider } of entries) if (rider) rider.ticket = ticket;
    const pieces = new Pieces(entries.map(({ item }) => item));
    const partBytes = Math.min(LIMITS.partBytes, endpoint.maxPayloadBytes - PART_OVERHEAD);
    return {
      ...{ number: ++this.#lastNumber, entries, pieces, partBytes, ticket, next: 0, received: 0 },
      count: Math.ceil(pieces.length / partBytes),
      sentAt: this.#clock.now(),
    };
  }

  /** Lets go of what has come; of the queue, if nothing more is in it. */
  #settled(queue: Queue): void {
    for (const { order } of queue.shipment?.entries ?? []) {
      if (order === undefined) continue;
      const others = (queue.orders.get(order) ?? 0) - 1;
      if (others > 0) queue.orders.set(order, others);
      else queue.orders.delete(order);
    }
    queue.shipment = undefined;
    queue.silence = 0;
    if (queue.waiting.length === 0) this.#queues.delete(queue.to);
  }

  readonly #tick = (): void => {
    for (const queue of this.#queues.values()) {
      if (++queue.silence > LIMITS.partSilentTicks) this.#queues.delete(queue.to);
      else if (queue.silence > 1) this.#sendAgain(queue);
    }
    const { size } = this.#queues;
    this.#timer = size > 0 ? this.#clock.inBackground(LIMITS.partSilenceMs, this.#tick) : undefined;
  };

  /** A part that is missing, or that brings the word that none is. */
  #sendAgain({ to, shipment }: Queue): void {
    const endpoint = this.#endpoint;
    if (!endpoint || !shipment) return;
    // Another server, after the connection was lost, may take less.
    if (shipment.partBytes > endpoint.maxPayloadBytes - PART_OVERHEAD) return;
    shipment.ticket = this.#nextTicket();
    shipment.sentAt = undefined;
    for (const { rider } of shipment.entries) if (rider) rider.ticket = 0;
    this.#sendPart(endpoint, to, shipment, shipment.received);
    // What was sent after it may be lost as well.
    shipment.next = shipment.received + 1;
  }
}

function isLarge(item: Item): boolean {
  const content = contentOf(item);
  if (typeof content === 'number') return false;
  return lengthOf(content) > LIMITS.largeItemBytes;
}

/** About how many bytes an item has. */
function sizeOf(item: Item): number {
  return 64 + lengthOf(contentOf(item));
}

/** The field of an item that is large when something is; what else it has fits into any message. */
function contentOf(item: Item): unknown {
  return item[0] === ITEM.call ? item[4] : item[item.length - 1];
}

function lengthOf(content: unknown): number {
  if (typeof content === 'string' || content instanceof Uint8Array) return content.length;
  if (!Array.isArray(content)) return 0;
  let length = 0;
  for (const each of content) if (typeof each === 'string') length += each.length;
  return length;
}

function orderOf(item: Item): Order | undefined {
  switch (item[0]) {
    case ITEM.call:
    case ITEM.cancel:
      return item[2] as string | undefined;
    case ITEM.streamItem:
    case ITEM.streamEnd:
      return item[1] as number;
    default:
      return undefined;
  }
}
