import type { Clock } from '../system/clock.ts';
import type { Activation } from './activation.ts';

/**
 * How long turns may follow each other before everything else on this thread gets its chance. Long against a
 * usual turn, so that it costs nothing; short against a heartbeat.
 */
const SLICE_MS = 20;

/**
 * Whether turns may start on this silo now. None may while it returns from an absence. And turns that do not
 * await follow each other without a pause as long as calls wait: they would hold up heartbeats, timers and
 * answers until the others give this silo up. So after a slice of time the event loop goes round once, then
 * the activations go on in the order in which they were stopped.
 */
export class TurnGate {
  readonly #clock: Clock;
  readonly #isClosed: (now: number) => boolean;
  /** Activations that want a turn and may not have one yet. */
  readonly #waiting = new Set<Activation>();
  /** When the present slice ends; the event loop has not gone round since it began. */
  #sliceEnd: number | undefined;

  constructor(clock: Clock, isClosed: (now: number) => boolean) {
    this.#clock = clock;
    this.#isClosed = isClosed;
  }

  /** If not, the activation is pumped as soon as it may. */
  mayTakeTurn(activation: Activation, now: number): boolean {
    if (this.#sliceEnd === undefined) {
      this.#sliceEnd = now + SLICE_MS;
      this.#clock.after(0, () => {
        this.#sliceEnd = undefined;
        this.open();
      });
    }
    if (now < this.#sliceEnd && !this.#isClosed(now)) return true;
    this.#waiting.add(activation);
    return false;
  }

  /** Lets those go on that wait, unless there is a reason against it again. */
  open(): void {
    for (const activation of this.#waiting) {
      const now = this.#clock.now();
      if (this.#isClosed(now) || (this.#sliceEnd !== undefined && now >= this.#sliceEnd)) return;
      this.#waiting.delete(activation);
      activation.pump();
    }
  }
}
