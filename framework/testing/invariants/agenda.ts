const SECOND_MS = 1_000;
const NOTHING: readonly never[] = [];

/**
 * Things to look at when their time has come, kept by the second: adding, removing and asking cost the same
 * however many there are. What is due is found up to a second late.
 */
export class Agenda<T> {
  readonly #seconds = new Map<number, Set<T>>();
  /** No second before this one holds anything. */
  #first = Number.POSITIVE_INFINITY;

  add(at: number, item: T): void {
    const second = Math.floor(at / SECOND_MS);
    const items = this.#seconds.get(second);
    if (items) items.add(item);
    else this.#seconds.set(second, new Set([item]));
    if (second < this.#first) this.#first = second;
  }

  /** `at` as it was when the item was added. */
  remove(at: number, item: T): void {
    const second = Math.floor(at / SECOND_MS);
    const items = this.#seconds.get(second);
    if (items?.delete(item) && items.size === 0) this.#seconds.delete(second);
  }

  /** Takes out what is due. */
  due(now: number): readonly T[] {
    if (now < (this.#first + 1) * SECOND_MS) return NOTHING;
    const present = Math.floor(now / SECOND_MS);
    const due: T[] = [];
    while (this.#first < present && this.#seconds.size > 0) {
      for (const item of this.#seconds.get(this.#first) ?? NOTHING) due.push(item);
      this.#seconds.delete(this.#first++);
    }
    if (this.#seconds.size === 0) this.#first = Number.POSITIVE_INFINITY;
    return due;
  }
}
