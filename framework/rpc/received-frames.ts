import type { NodeAddress } from '../identity/silo-address.ts';

/** How far back a frame may be that arrives late, and is no duplicate. Beyond, it counts as lost. */
const WINDOW = 256;
/** Nodes that are remembered. Clients come and go; those heard of first are forgotten first. */
const SENDERS = 10_000;

interface Received {
  highest: number;
  /** Numbers below the highest that have not come; made when the first one is missing. */
  missing: Set<number> | undefined;
}

/**
 * Which frames of which node have come. A network may bring one twice, and a call that runs twice is worse
 * than one that is lost. Numbers of one sender to one receiver go up; in order, each costs a comparison. The
 * idea is the anti-replay window of IPsec (RFC 4303, section 3.4.3).
 */
export class ReceivedFrames {
  readonly #senders = new Map<NodeAddress, Received>();

  /** Whether the frame is to be taken in; from then on it has come. */
  take(from: NodeAddress, number: number): boolean {
    const received = this.#senders.get(from);
    if (!received) {
      this.#meet(from, number);
      return true;
    }
    const { highest, missing } = received;
    if (number === highest + 1) {
      received.highest = number;
      return true;
    }
    if (number <= highest) return missing?.delete(number) ?? false;
    received.highest = number;
    received.missing = withNumbers(missing, Math.max(highest + 1, number - WINDOW), number);
    return true;
  }

  #meet(from: NodeAddress, number: number): void {
    // What was sent before may still come.
    const missing = number > 1 ? withNumbers(undefined, Math.max(1, number - WINDOW), number) : undefined;
    this.#senders.set(from, { highest: number, missing });
    if (this.#senders.size <= SENDERS) return;
    const [oldest] = this.#senders.keys();
    this.#senders.delete(oldest as NodeAddress);
  }
}

/** The numbers from `first` up to, not including, `end` are missing now, too; only the latest are kept. */
function withNumbers(missing: Set<number> | undefined, first: number, end: number): Set<number> {
  const numbers = missing ?? new Set<number>();
  for (let number = first; number < end; number++) numbers.add(number);
  for (const number of numbers) {
    if (number >= end - WINDOW) break;
    numbers.delete(number);
  }
  return numbers;
}
