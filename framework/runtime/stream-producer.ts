import { LIMITS } from '../limits.ts';
import type { Call } from '../rpc/call.ts';

/** What a producer asks of its activation. */
export interface ProducerDoor {
  /** Wants another turn. */
  again(): void;
  /** Lets go of the producer. */
  ended(): void;
}

/**
 * The writing end of a stream. Each item is a turn of its own: the generator runs until it yields, then other
 * calls have theirs. It runs only while the reader has room, so a slow reader makes it wait and nothing piles
 * up. Its `finally` is a turn, too; when the activation ends, it runs before `onDeactivate`.
 */
export class StreamProducer {
  readonly call: Call;
  readonly #open: () => AsyncGenerator<unknown>;
  readonly #door: ProducerDoor;
  #generator: AsyncGenerator<unknown> | undefined;
  #credit: number = LIMITS.streamWindow;
  #index = 0;
  #waiting = false;
  #closed = false;
  #done = false;

  constructor(call: Call, open: () => AsyncGenerator<unknown>, door: ProducerDoor) {
    this.call = call;
    this.#open = open;
    this.#door = door;
    call.onCredit = (items) => this.grant(items);
    call.onCancel = () => this.close();
  }

  /** One turn: runs the generator to its next item. */
  async step(): Promise<void> {
    if (this.#closed) return this.finish();
    try {
      this.#generator ??= this.#open();
      const { done, value } = await this.#generator.next();
      if (this.#closed) return await this.finish();
      if (done) {
        this.#end();
        this.call.replies.value(this.call, undefined);
        return;
      }
      this.call.replies.item(this.call, this.#index++, value);
    } catch (error) {
      await this.finish(); // it goes on when the item is what failed
      throw error;
    }
    this.#credit--;
    if (this.#credit > 0) this.#later();
    else this.#waiting = true;
  }

  grant(items: number): void {
    this.#credit = Math.min(this.#credit + items, LIMITS.streamWindow);
    if (this.#credit > 0) this.#wake();
  }

  /** The reader has left, or the activation ends: then the reader gets `error`. */
  close(error?: Error): void {
    if (this.#closed || this.#done) return;
    this.#closed = true;
    if (error) {
      this.call.replies.error(this.call, error);
      // A generator that waits for something listens to its signal, or its turn holds the activation up.
      this.call.cancel();
    }
    this.#wake();
  }

  /** Runs the generator's `finally`. What it throws has nobody to go to: the reader has left. */
  async finish(): Promise<void> {
    if (this.#done) return;
    this.#end();
    await this.#generator?.return(undefined).catch(() => {});
  }

  #wake(): void {
    if (!this.#waiting) return;
    this.#waiting = false;
    this.#door.again();
  }

  /** After the turn that runs now, so that other calls have theirs in between. */
  #later(): void {
    queueMicrotask(() => this.#door.again());
  }

  #end(): void {
    this.#done = true;
    this.#door.ended();
  }
}
