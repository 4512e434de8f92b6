/** How a call may run beside others in one activation. */
export type Mode = 'exclusive' | 'readOnly' | 'interleave';

/** What waits in a mailbox. */
export interface Mail {
  readonly mode: Mode;
}

/**
 * The calls that wait for one activation, and every rule about what may run when: an exclusive call runs
 * alone; read-only calls run beside each other; an interleaving call runs at once, beside anything. Exclusive
 * and read-only calls start in the order in which they came, so neither starves the other. Interleaving ones
 * overtake. Pure: it starts nothing itself.
 */
export class Mailbox<M extends Mail> {
  readonly #limit: number;
  #queue: M[] = [];
  #head = 0;
  #exclusive = 0;
  #readOnly = 0;
  #interleaved = 0;
  /** Interleaving calls that wait: only since the activation was not ready when they came. */
  #overtakers = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Calls that wait. */
  get waiting(): number {
    return this.#queue.length - this.#head;
  }

  get running(): number {
    return this.#exclusive + this.#readOnly + this.#interleaved;
  }

  get full(): boolean {
    return this.waiting >= this.#limit;
  }

  push(mail: M): void {
    this.#queue.push(mail);
    if (mail.mode === 'interleave') this.#overtakers++;
  }

  /** Whether this call may start now, before anything that waits. */
  mayStart(mail: M): boolean {
    return mail.mode === 'interleave' || (this.waiting === 0 && this.#fits(mail));
  }

  /** Takes the next call that may start now. */
  next(): M | undefined {
    const head = this.#queue[this.#head];
    if (head === undefined) return undefined;
    if (!this.#fits(head)) return this.#overtakers > 0 ? this.nextOvertaking() : undefined;
    this.#head++;
    if (head.mode === 'interleave') this.#overtakers--;
    if (this.#head === this.#queue.length || this.#head > 1024) this.#compact();
    return head;
  }

  /** Takes the first interleaving call that fits, past those in front of it. */
  nextOvertaking(fits: (mail: M) => boolean = () => true): M | undefined {
    return this.nextOf((mail) => mail.mode === 'interleave' && fits(mail));
  }

  /** Takes the first of some calls that may start, past all that are in front of it. */
  nextOf(may: (mail: M) => boolean): M | undefined {
    for (let i = this.#head; i < this.#queue.length; i++) {
      const mail = this.#queue[i] as M;
      if (!this.#fits(mail) || !may(mail)) continue;
      this.#queue.splice(i, 1);
      if (mail.mode === 'interleave') this.#overtakers--;
      return mail;
    }
    return undefined;
  }

  started(mail: M): void {
    this.#count(mail, 1);
  }

  ended(mail: M): void {
    this.#count(mail, -1);
  }

  /** Takes everything that waits, for another place. */
  takeAll(): M[] {
    const all = this.#queue.slice(this.#head);
    this.#queue = [];
    this.#head = 0;
    this.#overtakers = 0;
    return all;
  }

  /** Takes back what waits; false when it does not. */
  remove(mail: M): boolean {
    const index = this.#queue.indexOf(mail, this.#head);
    if (index < 0) return false;
    this.#queue.splice(index, 1);
    if (mail.mode === 'interleave') this.#overtakers--;
    return true;
  }

  find(which: (mail: M) => boolean): M | undefined {
    for (let i = this.#head; i < this.#queue.length; i++) {
      const mail = this.#queue[i] as M;
      if (which(mail)) return mail;
    }
    return undefined;
  }

  #fits(mail: M): boolean {
    if (mail.mode === 'interleave') return true;
    if (this.#exclusive > 0) return false;
    return mail.mode === 'readOnly' || this.#readOnly === 0;
  }

  #count(mail: M, by: number): void {
    if (mail.mode === 'exclusive') this.#exclusive += by;
    else if (mail.mode === 'readOnly') this.#readOnly += by;
    else this.#interleaved += by;
  }

  #compact(): void {
    this.#queue = this.#head === this.#queue.length ? [] : this.#queue.slice(this.#head);
    this.#head = 0;
  }
}
