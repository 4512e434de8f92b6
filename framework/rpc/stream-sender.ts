import { LIMITS } from '../limits.ts';

type Item = readonly unknown[];

/**
 * What one stream has sent to a reader on another node, kept until that has confirmed it. It outlives the
 * producer: also the end may be lost. At most a window of items, and the end.
 */
export class StreamSender {
  readonly #unconfirmed: Item[] = [];
  #confirmed = 0;
  /** Items that are not read yet and fill more than their share of the window. */
  #heavy: { readonly end: number; readonly bytes: number }[] | undefined;
  #heavyBytes = 0;
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

  /** Whether the reader has room for another item, as far as bytes go. */
  get hasRoom(): boolean {
    return this.#heavyBytes < LIMITS.streamWindowBytes;
  }

  sent(item: Item): void {
    this.#unconfirmed.push(item);
    const bytes = bytesOf(item[3]);
    if (!isHeavy(bytes)) return;
    this.#heavy ??= [];
    this.#heavy.push({ end: this.next, bytes });
    this.#heavyBytes += bytes;
  }

  /** The reader has read so many items. */
  wasRead(count: number): void {
    for (let first = this.#heavy?.[0]; first && first.end <= count; first = this.#heavy?.[0]) {
      this.#heavyBytes -= first.bytes;
      this.#heavy?.shift();
    }
  }

  sentEnd(item: Item): void {
    this.#ended = true;
    this.#unconfirmed.push(item);
  }

  /** Everything before this index has come. */
  confirm(received: number): void {
    const count = Math.min(received - this.#confirmed, this.#unconfirmed.length);
    if (count <= 0) return;
    if (count === this.#unconfirmed.length) this.#unconfirmed.length = 0;
    else this.#unconfirmed.splice(0, count);
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

/** As many as the window has places may be lighter than this without looking at their bytes. */
const SHARE_BYTES = LIMITS.streamWindowBytes / LIMITS.streamWindow;

/** Whether an item of so many bytes takes more than its place in the window. */
export function isHeavy(bytes: number): boolean {
  return bytes >= SHARE_BYTES;
}

export function bytesOf(packed: unknown): number {
  return packed instanceof Uint8Array || typeof packed === 'string' ? packed.length : 8;
}
