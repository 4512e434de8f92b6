/** Who ran a turn of which grain, and when: kept by grains of all silos of one process. */
export class TurnLog {
  readonly #entries = new Map<string, { activation: string; what: 'start' | 'end' }[]>();

  /** Notes that a turn starts; returns how to note that it ended. */
  start(key: string, activation: string): () => void {
    const entries = this.#entries.get(key) ?? [];
    this.#entries.set(key, entries);
    entries.push({ activation, what: 'start' });
    return () => void entries.push({ activation, what: 'end' });
  }

  /** Activations that took turns of a grain, in order. */
  activations(key: string): string[] {
    const entries = this.#entries.get(key) ?? [];
    return entries.map(({ activation }) => activation).filter((each, i, all) => each !== all[i - 1]);
  }

  /** What must not be: turns of one grain that overlap, or an activation that runs after its successor. */
  violations(): string[] {
    return [...this.#entries.keys()].flatMap((key) => [...this.#overlaps(key), ...this.#returns(key)]);
  }

  #overlaps(key: string): string[] {
    const found: string[] = [];
    let open: string | undefined;
    for (const { activation, what } of this.#entries.get(key) ?? []) {
      if (what === 'start' && open) found.push(`${key}: ${activation} started while ${open} ran`);
      if (what === 'end' && open !== activation) found.push(`${key}: ${activation} ended while ${open} ran`);
      open = what === 'start' ? activation : undefined;
    }
    return found;
  }

  #returns(key: string): string[] {
    const order = this.activations(key);
    return new Set(order).size === order.length ? [] : [`${key}: ${order.join(', ')}`];
  }
}
