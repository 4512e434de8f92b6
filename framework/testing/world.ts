import type { Client } from '../client.ts';
import type { Silo } from '../silo.ts';
import type { SiloOptions } from '../silo-options.ts';
import type { GrainStore } from '../storage/grain-store.ts';
import type { Clock } from '../system/clock.ts';
import type { EventLog } from '../topics/event-log.ts';
import type { Transport } from '../transport/transport.ts';

/** What a silo or a client gets that starts in a world. */
export interface Doors extends Pick<SiloOptions, 'clock' | 'random' | 'onEvent'> {
  readonly transport: Transport;
  readonly stores: Readonly<Record<string, GrainStore>>;
  /** The log of events, when the network is not one that has its own. */
  readonly topics?: EventLog;
}

/** Where a test cluster lives: in this process and in real time, or in a simulation. */
export interface World {
  /** The tests' own time. */
  readonly clock: Clock;
  /** A node of this name starts now; the client's is `client`. */
  enter(name: string): Doors;
  /** A silo is gone without a word. */
  crash(name: string, silo: Silo): void;
  crashClient(name: string, client: Client): void;
  /** Nothing passes between the groups of nodes, either way. */
  cut(groupA: readonly string[], groupB: readonly string[]): void;
  heal(): void;
  areCut(one: string, other: string): boolean;
}

/** Cuts in both directions, between nodes that are known by name. */
export class Cuts {
  readonly #cuts: (readonly [ReadonlySet<string>, ReadonlySet<string>])[] = [];

  add(groupA: readonly string[], groupB: readonly string[]): void {
    this.#cuts.push([new Set(groupA), new Set(groupB)]);
  }

  clear(): void {
    this.#cuts.length = 0;
  }

  has(one: string, other: string): boolean {
    return this.#cuts.some(([a, b]) => (a.has(one) && b.has(other)) || (a.has(other) && b.has(one)));
  }
}
