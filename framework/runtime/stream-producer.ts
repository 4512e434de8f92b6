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
  #sent = 0;
  /** How many the reader has read, as far as is known. */
  #read = 0;
  #waiting = false;
  #closed = false;
  #done = false;

  constructor(call: Call, open: () => AsyncGenerator<unknown>, door: ProducerDoor) {
    this.call = call;
    this.#open = open;
    this.#door = door;
    call.onCredit = (read) => this.#credit(read);
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
      this.call.replies.item(this.call, value);
      this.#sent++;
    } catch (error) {
      await this.finish(); // it goes on when the item is what failed
      throw error;
    }
    if (this.#hasRoom) this.#later();
    else this.#waiting = true;
  }

  get #hasRoom(): boolean {
    return this.#sent < this.#read + LIMITS.streamWindow && (this.call.sender?.hasRoom ?? true);
  }

  /** The reader has read so many. Old news may come late. */
  #credit(read: number): void {
    this.#read = Math.max(this.#read, Math.min(read, this.#sent));
    if (this.#hasRoom) this.#wake();
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
