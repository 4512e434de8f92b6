import { LIMITS } from '../limits.ts';

type Item = readonly unknown[];

/**
 * What one stream has sent to a reader on another node, kept until that has confirmed it. It outlives the
 * producer: also the end may be lost. At most a window of items, and the end.
 */
export class StreamSender {
  readonly #unconfirmed: Item[] = [];
  #confirmed = 0;
  /** Asked in vain for the same. */
  #asked = 0;
  #ended = false;
  /** Ticks since the reader has said something. */
  silence = 0;

  /** The index of the next item. */
  get next(): number {
    return this.#confirmed + this.#unconfirmed.length;
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** All was sent, and has come. */
  get done(): boolean {
    return this.#ended && this.#unconfirmed.length === 0;
  }

  sent(item: Item): void {
    this.#unconfirmed.push(item);
  }

  sentEnd(item: Item): void {
    this.#ended = true;
    this.#unconfirmed.push(item);
  }

  /** Everything before this index has come. */
  confirm(received: number): void {
    const count = Math.min(received - this.#confirmed, this.#unconfirmed.length);
    if (count <= 0) return;
    this.#unconfirmed.splice(0, count);
    this.#confirmed += count;
    this.#asked = 0;
  }

  /**
   * What is to be sent again, as much as fits into one message, for a reader that asks. What is larger than
   * that may well be under way still, on a slow line: each time it is sent after twice as many questions, or
   * it would be in its own way.
   */
  again(): readonly Item[] {
    const asked = ++this.#asked;
    let bytes = 0;
    let count = 0;
    for (const item of this.#unconfirmed) {
      bytes += bytesOf(item[3]);
      if (bytes > LIMITS.streamAgainBytes) break;
      count++;
    }
    if (count > 0 || this.#unconfirmed.length === 0) return this.#unconfirmed.slice(0, count);
    return (asked & (asked - 1)) === 0 ? this.#unconfirmed.slice(0, 1) : [];
  }
}

function bytesOf(packed: unknown): number {
  return packed instanceof Uint8Array || typeof packed === 'string' ? packed.length : 8;
}
