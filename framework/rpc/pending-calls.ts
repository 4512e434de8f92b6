import type { PendingCall } from './pending-call.ts';

/** Slots at first; always a power of two, and at least twice the calls. */
const SLOTS = 256;

/**
 * The calls of this node that wait for an answer, by number. It gives the numbers, so that each call has a
 * slot of its own: the lower bits of its number.
 *
 * A Map would do, and cost two thirds of all local calls. Where entries come and go, V8 makes a new table for
 * every few dozen of them, and each old table points to the next and to what was in it. One that has become
 * old and dead keeps all that followed alive until the next collection of the old generation: nearly every
 * call ended up there. Here what is removed is let go of at once.
 */
export class PendingCalls {
  #slots: (PendingCall | undefined)[] = new Array(SLOTS).fill(undefined);
  #size = 0;
  #lastId = 0;
  #newest: PendingCall | undefined;

  get size(): number {
    return this.#size;
  }

  /** A number for a call, higher than all before. */
  nextId(): number {
    if (this.#size * 2 >= this.#slots.length) this.#grow();
    do this.#lastId++;
    while (this.#slots[this.#slotOf(this.#lastId)]); // of a call that has waited for very long
    return this.#lastId;
  }

  add(call: PendingCall): void {
    // Taken, if taking its arguments has made hundreds of other calls since it got its number.
    while (this.#slots[this.#slotOf(call.id)]) this.#grow();
    this.#slots[this.#slotOf(call.id)] = call;
    this.#size++;
    call.older = this.#newest;
    if (this.#newest) this.#newest.newer = call;
    this.#newest = call;
  }

  /** `id` may be anything that came over the wire. */
  get(id: unknown): PendingCall | undefined {
    const call = typeof id === 'number' ? this.#slots[this.#slotOf(id)] : undefined;
    return call?.id === id ? call : undefined;
  }

  has(call: PendingCall): boolean {
    return this.#slots[this.#slotOf(call.id)] === call;
  }

  /** False when it is not there. */
  remove(call: PendingCall): boolean {
    if (!this.has(call)) return false;
    this.#slots[this.#slotOf(call.id)] = undefined;
    this.#size--;
    const { older, newer } = call;
    if (older) older.newer = newer;
    if (newer) newer.older = older;
    else this.#newest = older;
    call.older = call.newer = undefined;
    return true;
  }

  /** As they are now, in the order in which they were added. */
  oldestFirst(): PendingCall[] {
    const calls: PendingCall[] = [];
    for (let call = this.#newest; call; call = call.older) calls.push(call);
    return calls.reverse();
  }

  #slotOf(id: number): number {
    return id & (this.#slots.length - 1);
  }

  #grow(): void {
    this.#slots = new Array(this.#slots.length * 2).fill(undefined);
    for (let call = this.#newest; call; call = call.older) this.#slots[this.#slotOf(call.id)] = call;
  }
}
