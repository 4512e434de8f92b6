import type { NodeAddress } from '../identity/silo-address.ts';
import { LIMITS } from '../limits.ts';
import type { Clock } from '../system/clock.ts';
import { isCount } from './frames.ts';

/** A shipment in parts, the last one of its sender. */
interface Arrival {
  readonly number: number;
  readonly count: number;
  /** Bytes of each part but the last. */
  readonly partBytes: number;
  /** Room for all of it; undefined when all has come, and was passed on. */
  bytes: Uint8Array | undefined;
  received: number;
  /** When the last part came. */
  at: number;
}

/** What is to be done about a part. */
export interface Taken {
  /** All parts have come: what they are together. */
  readonly whole?: Uint8Array;
  /** How many parts have come, if the sender is to be told. */
  readonly received?: number;
}

/** Senders that are remembered. Clients come and go; those heard of first are forgotten first. */
const SENDERS = 10_000;
const NOTHING: Taken = Object.freeze({});
/** Bytes that have to come before the sender is told: half of what may be under way at the least. */
const REPORT_BYTES = LIMITS.partsBytes / 2;
/** How often those that have fallen silent are looked for, among thousands. */
const EXPIRE_MS = 1_000;
/** Bytes of a shipment beyond the largest item: what was sent together with it, and around it. */
const SHIPMENT_OVERHEAD = 1024 * 1024;

/**
 * Puts shipments together again. A sender has one under way at a time, and its parts count in order only.
 * What comes twice, or after a gap, is answered with how far all has come: the sender goes on from there.
 *
 * Memory is bounded. A shipment for which there is no room is not begun, and not answered; its sender tries
 * again until others are done, or given up because their senders have fallen silent.
 */
export class Reassembly {
  readonly #clock: Clock;
  readonly #arrivals = new Map<NodeAddress, Arrival>();
  #bytes = 0;
  #expiredAt = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Takes a part, `[PART, sender, shipment, index, count, bytes]`. */
  add(from: NodeAddress, frame: readonly unknown[]): Taken {
    const [, , number, index, count, piece] = frame;
    if (!isCount(number) || !isCount(index) || !isCount(count) || !(piece instanceof Uint8Array))
      return NOTHING;
    if (index >= count) return NOTHING;
    let arrival = this.#arrivals.get(from);
    if (arrival && number < arrival.number) return NOTHING; // late, and of no use to anybody
    if (arrival?.number !== number || isAbandoned(arrival)) {
      // It is not begun in the middle.
      if (index > 0) return { received: 0 };
      arrival = this.#begin(from, number, count, piece.length);
      if (!arrival) return NOTHING;
    }
    return this.#take(arrival, index, piece);
  }

  #take(arrival: Arrival, index: number, piece: Uint8Array): Taken {
    const { bytes, partBytes, count } = arrival;
    arrival.at = this.#clock.now();
    const isLast = index === count - 1;
    if (!bytes || index !== arrival.received) return { received: arrival.received };
    if (isLast ? piece.length > partBytes : piece.length !== partBytes) return NOTHING;
    bytes.set(piece, index * partBytes);
    arrival.received++;
    if (isLast) {
      this.#release(arrival);
      return { whole: bytes.subarray(0, index * partBytes + piece.length), received: count };
    }
    const interval = Math.max(1, Math.floor(REPORT_BYTES / partBytes));
    return arrival.received % interval === 0 ? { received: arrival.received } : NOTHING;
  }

  #begin(from: NodeAddress, number: number, count: number, partBytes: number): Arrival | undefined {
    const size = count * partBytes;
    if (size > LIMITS.callBytes + SHIPMENT_OVERHEAD || partBytes === 0) return undefined;
    const before = this.#arrivals.get(from);
    if (before) this.#release(before);
    this.#expire();
    if (this.#bytes + size > LIMITS.reassemblyBytes) return undefined;
    this.#bytes += size;
    const arrival: Arrival = {
      ...{ number, count, partBytes, received: 0, at: this.#clock.now() },
      bytes: Buffer.allocUnsafeSlow(size),
    };
    this.#arrivals.delete(from);
    this.#arrivals.set(from, arrival);
    if (this.#arrivals.size > SENDERS) this.#forget();
    return arrival;
  }

  /** Of the one heard of first. If not all of its shipment has come, it will begin anew. */
  #forget(): void {
    const [first] = this.#arrivals;
    if (!first) return;
    const [from, arrival] = first;
    this.#release(arrival);
    this.#arrivals.delete(from);
  }

  #expire(): void {
    const now = this.#clock.now();
    if (now < this.#expiredAt + EXPIRE_MS) return;
    this.#expiredAt = now;
    const oldest = now - LIMITS.reassemblyMs;
    for (const arrival of this.#arrivals.values()) if (arrival.at <= oldest) this.#release(arrival);
  }

  #release(arrival: Arrival): void {
    this.#bytes -= arrival.bytes?.length ?? 0;
    arrival.bytes = undefined;
  }
}

/** It was let go of before all had come. */
function isAbandoned({ bytes, received, count }: Arrival): boolean {
  return !bytes && received < count;
}
