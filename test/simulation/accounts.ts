import { Grain, type GrainClass, type GrainRef, grain, method, state } from 'granary';
import type { SimulatedCluster } from 'granary/testing';
import { expect } from 'vitest';
import { runtimeOf } from '../../framework/silo.ts';

/** Whoever can call: a silo, a client, or a cluster by its client. */
export interface Caller {
  grain<G extends Grain>(type: GrainClass<G>, key: string): GrainRef<G>;
}

/** A list of entries that is saved at each change. It lives where the ring wants it. */
@grain()
export class Account extends Grain {
  @state() entries: string[] = [];

  @method()
  async add(entry: string): Promise<string[]> {
    this.entries.push(entry);
    await this.save();
    return this.entries;
  }

  @method({ readOnly: true })
  async read(): Promise<string[]> {
    return this.entries;
  }

  @method({ readOnly: true })
  async whoAmI(): Promise<string> {
    return this.context.activationId;
  }

  @method()
  async end(): Promise<void> {
    this.context.deactivate();
  }
}

/** The same, where it was first called. */
@grain({ placement: 'preferLocal' })
export class Guest extends Account {}

/** Nothing that would be saved. */
@grain()
export class Session extends Grain {
  @method({ readOnly: true })
  async whoAmI(): Promise<string> {
    return this.context.activationId;
  }

  /** A turn of some length. */
  @method()
  async work(ms: number): Promise<string> {
    await new Promise((resolve) => setTimeout(resolve, ms));
    return this.context.activationId;
  }
}

export const grains = [Account, Guest, Session] as const;

export const keys = (count: number): string[] => Array.from({ length: count }, (_, i) => `k${i}`);

/** Seeds that a story is run under: so many, or as many as `STORY_SEEDS` says. */
export function seeds(count: number): number[] {
  return Array.from({ length: Number(process.env.STORY_SEEDS ?? count) }, (_, i) => i + 1);
}

/** Network and stores as quick or slow as the seed wants them, so that each story meets other races. */
export function drawWeather(cluster: SimulatedCluster): void {
  const { random } = cluster;
  const upTo = (most: number) => most ** random.next() - 0.9;
  cluster.setNetwork({ latencyMs: upTo(4), jitterMs: upTo(8) });
  cluster.setStores({ latencyMs: upTo(10), jitterMs: upTo(20) });
}

/** Everybody who can call. */
export function callersOf(cluster: SimulatedCluster, names = cluster.names): Caller[] {
  return names.map((name) => cluster.silo(name));
}

/** The silos that keep a grain's place, the primary first, as one silo knows them. */
export function keepersOf(
  cluster: SimulatedCluster,
  type: GrainClass,
  key: string,
  asKnownTo = cluster.names[0] as string,
): string[] {
  const { directory } = runtimeOf(cluster.silo(asKnownTo));
  const partition = directory.partitionOf(`${type.name}/${key}`);
  return directory.replicas(partition).map((address) => address.split('~')[0] as string);
}

/** Silos in whose directory there is anything of a grain. */
export function entriesOf(cluster: SimulatedCluster, type: GrainClass, key: string): string[] {
  const id = `${type.name}/${key}`;
  return cluster.names.flatMap((name) => {
    const { directory } = runtimeOf(cluster.silo(name));
    const members = directory.replica(directory.partitionOf(id))?.members(id) ?? [];
    return members.map(({ owner, value }) => `${name}: ${value.id} on ${owner}`);
  });
}

/** Every silo, asked for the grain, is answered by the same activation; there is no other. */
export async function expectOne(
  cluster: SimulatedCluster,
  type: GrainClass<Account | Session>,
  key: string,
): Promise<string> {
  const callers: Caller[] = [cluster, ...callersOf(cluster)];
  const seen = await Promise.all(callers.map((caller) => caller.grain(type, key).whoAmI()));
  const [first] = seen;
  expect(new Set(seen), `${type.name}/${key}`).toEqual(new Set([first]));
  expect(cluster.activationsOf(type, key)).toMatchObject([{ activationId: first }]);
  return first as string;
}

/**
 * From the end of a trouble until the silos are of one mind, in a network of some milliseconds. Most need a
 * tenth of it. A client may go by the old view for 5 s more: it asks for what it has missed that often.
 */
export const CONVERGES_MS = 1_500;

/** Milliseconds until all silos see each other, have settled, and no grain of these is active twice. */
export async function msToConverge(
  cluster: SimulatedCluster,
  types: readonly GrainClass[],
  of: readonly string[],
): Promise<number> {
  const begunAt = cluster.now;
  const everybody = [...cluster.names].sort().join();
  const isReady = (name: string) => {
    const silo = cluster.silo(name);
    return [...silo.silos].sort().join() === everybody && runtimeOf(silo).directory.settled;
  };
  const isTwice = (type: GrainClass) => of.some((key) => cluster.activationsOf(type, key).length > 1);
  while (!cluster.names.every(isReady) || types.some(isTwice)) await cluster.sleep(5);
  return cluster.now - begunAt;
}

/** What became of a call: the code of its error; undefined when it was answered. */
export async function codeOf(call: Promise<unknown>): Promise<string | undefined> {
  try {
    await call;
    return undefined;
  } catch (error) {
    const { code = String(error) } = error as { code?: string };
    return code;
  }
}

/** What those who wrote to accounts were told. */
export class Ledger {
  readonly #type: GrainClass<Account>;
  readonly #acknowledged = new Map<string, string[]>();
  readonly #refused = new Map<string, Set<string>>();
  readonly #unknown = new Map<string, Set<string>>();
  #entries = 0;

  constructor(type: GrainClass<Account> = Account) {
    this.#type = type;
  }

  /** Adds an entry to an account. Resolves to the code of the error; undefined when it was acknowledged. */
  async add(caller: Caller, key: string): Promise<string | undefined> {
    const entry = `entry ${++this.#entries}`;
    const code = await codeOf(caller.grain(this.#type, key).add(entry));
    if (code === undefined) this.#of(this.#acknowledged, key, []).push(entry);
    // A conflict is the store's own word that nothing was written.
    else if (code === 'STATE_CONFLICT') this.#of(this.#refused, key, new Set()).add(entry);
    else this.#of(this.#unknown, key, new Set()).add(entry);
    return code;
  }

  acknowledged(key: string): readonly string[] {
    return this.#acknowledged.get(key) ?? [];
  }

  /** Each of the callers writes to these accounts, one call after the other, until it is stopped. */
  startLoad(
    cluster: SimulatedCluster,
    callers: readonly Caller[],
    of: readonly string[],
  ): { stop(): Promise<void> } {
    const { random } = cluster;
    let over = false;
    const write = async (caller: Caller) => {
      while (!over) {
        await this.add(caller, random.pick(of));
        await cluster.sleep(random.between(5, 100));
      }
    };
    const writing = Promise.all(callers.map(write));
    return {
      async stop() {
        over = true;
        await writing;
      },
    };
  }

  /** Reads an account, and finds there everything that was acknowledged before. */
  async read(caller: Caller, key: string): Promise<string[]> {
    const acknowledged = [...this.acknowledged(key)];
    const entries = await caller.grain(this.#type, key).read();
    for (const entry of acknowledged) expect(entries, key).toContain(entry);
    return entries;
  }

  /** All accounts, from everywhere: what was acknowledged is there, nothing is twice, nothing refused. */
  async expectKept(cluster: SimulatedCluster): Promise<void> {
    for (const key of new Set([...this.#acknowledged.keys(), ...this.#unknown.keys()])) {
      for (const caller of [cluster, ...callersOf(cluster)]) {
        const entries = await this.read(caller, key);
        const known = new Set([...this.acknowledged(key), ...(this.#unknown.get(key) ?? [])]);
        expect(new Set(entries).size, key).toBe(entries.length);
        for (const entry of entries) expect(known, key).toContain(entry);
      }
    }
  }

  #of<V>(map: Map<string, V>, key: string, fresh: V): V {
    const value = map.get(key) ?? fresh;
    map.set(key, value);
    return value;
  }
}
