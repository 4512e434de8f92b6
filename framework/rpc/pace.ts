import { LIMITS } from '../limits.ts';

/** What parts are to reach where only the length of the way holds them up: 16 MB/s. */
const BYTES_PER_MS = 16 * 1024;

/**
 * How many bytes of parts may be under way to one node. One part where the way is short, so that nothing
 * small waits long; more where it is long, or each round trip would bring no more than that one. The shortest
 * round trip tells which it is. It is that of the first part of a shipment, when no other is under way; on
 * busy machines most take longer, and to answer that with more under way would make them busier.
 */
export class Pace {
  windowBytes: number = LIMITS.partsBytes;
  #shortestMs = Number.POSITIVE_INFINITY;

  /** The first part of a shipment has come, and word of it is back. */
  roundTrip(ms: number): void {
    this.#shortestMs = Math.min(this.#shortestMs, ms);
    const bytes = this.#shortestMs * BYTES_PER_MS;
    this.windowBytes = Math.min(Math.max(bytes, LIMITS.partsBytes), LIMITS.partsBytesMax);
  }
}
