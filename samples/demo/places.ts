/** Which silo each account was last seen active on. */
export class Places {
  readonly #silos = new Map<string, string>();
  readonly #counts = new Map<string, number>();
  /** Accounts that were seen on another silo than before. */
  moves = 0;

  seen(account: string, silo: string): void {
    const before = this.#silos.get(account);
    if (before === silo) return;
    this.#silos.set(account, silo);
    this.#counts.set(silo, this.count(silo) + 1);
    if (before === undefined) return;
    this.#counts.set(before, this.count(before) - 1);
    this.moves++;
  }

  count(silo: string): number {
    return this.#counts.get(silo) ?? 0;
  }

  /** The accounts of a silo. */
  on(silo: string): string[] {
    return [...this.#silos].flatMap(([account, place]) => (place === silo ? [account] : []));
  }
}
