import type { NodeAddress } from '../identity/silo-address.ts';
import { LIMITS } from '../limits.ts';
import type { Call } from '../rpc/call.ts';
import type { Ticketed } from '../rpc/data-link.ts';
import type { Clock } from '../system/clock.ts';

/** The transport tells within a round trip that nobody listens; this is many, on a busy machine too. */
const KEPT_MS = 2_000;

class Forward implements Ticketed {
  ticket = 0;
  readonly to: NodeAddress;
  readonly call: Call;
  readonly at: number;

  constructor(to: NodeAddress, call: Call, at: number) {
    this.to = to;
    this.call = call;
    this.at = at;
  }
}

/**
 * Calls of other nodes that this silo has passed on, for as long as it may hear that nobody received them: a
 * silo that leaves is gone a moment before everybody knows. Their callers cannot hear it, and try again when
 * they are told.
 */
export class Forwards {
  readonly #clock: Clock;
  /** In the order in which they left. */
  readonly #recent = new Set<Forward>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get size(): number {
    return this.#recent.size;
  }

  clear(): void {
    this.#recent.clear();
  }

  /** Remembers a call; what is returned goes with its item. */
  add(to: NodeAddress, call: Call): Ticketed {
    const now = this.#clock.now();
    for (const old of this.#recent) {
      if (now - old.at < KEPT_MS && this.#recent.size < LIMITS.forwards) break;
      this.#recent.delete(old);
    }
    const forward = new Forward(to, call, now);
    this.#recent.add(forward);
    return forward;
  }

  undeliverable(to: NodeAddress, ticket: number): void {
    for (const forward of this.#recent) {
      if (forward.ticket !== ticket || forward.to !== to) continue;
      this.#recent.delete(forward);
      forward.call.replies.notRun(forward.call);
    }
  }
}
