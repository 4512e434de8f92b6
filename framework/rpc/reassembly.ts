import type { NodeAddress } from '../identity/silo-address.ts';
import { LIMITS } from '../limits.ts';
import type { Clock } from '../system/clock.ts';
import { isCount } from './frames.ts';

interface Partial {
  readonly parts: Uint8Array[];
  readonly count: number;
  readonly startedAt: number;
  bytes: number;
}

/**
 * Puts large messages together again. Their parts arrive in order or not at all, so the first gap ends a
 * message; memory and time are bounded, the oldest message goes first.
 */
export class Reassembly {
  readonly #clock: Clock;
  readonly #partials = new Map<string, Partial>();
  #bytes = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * Takes a part, `[PART, sender, message, index, count, bytes]`; returns the whole message when it is
   * complete.
   */
  add(from: NodeAddress, frame: readonly unknown[]): Uint8Array | undefined {
    const [, , message, index, count, piece] = frame;
    if (!isCount(message) || !isCount(index) || !isCount(count) || !(piece instanceof Uint8Array))
      return undefined;
    this.#expire();
    const key = `${from} ${message}`;
    if (index === 0) this.#start(key, count);
    const partial = this.#partials.get(key);
    if (!partial || partial.parts.length !== index || partial.count !== count) return this.#drop(key);
    partial.parts.push(Uint8Array.from(piece));
    partial.bytes += piece.length;
    this.#bytes += piece.length;
    if (partial.parts.length === count) {
      const whole = Buffer.concat(partial.parts);
      this.#drop(key);
      return whole;
    }
    while (this.#bytes > LIMITS.reassemblyBytes) this.#drop(this.#partials.keys().next().value as string);
    return undefined;
  }

  #start(key: string, count: number): void {
    this.#drop(key);
    if (count >= 2) this.#partials.set(key, { parts: [], count, startedAt: this.#clock.now(), bytes: 0 });
  }

  #expire(): void {
    const oldest = this.#clock.now() - LIMITS.reassemblyMs;
    for (const [key, partial] of this.#partials) {
      if (partial.startedAt > oldest) break;
      this.#drop(key);
    }
  }

  #drop(key: string): undefined {
    this.#bytes -= this.#partials.get(key)?.bytes ?? 0;
    this.#partials.delete(key);
    return undefined;
  }
}
