import type { Grain, GrainClass, GrainKey, GrainRef, RuntimeEvent, SiloOptions } from 'granary';
import { Silo } from 'granary';
import { TestCluster } from 'granary/testing';

type Options = Partial<Omit<SiloOptions, 'grains' | 'name' | 'transport'>>;

/** Somewhere where grains live, and a caller. */
export interface Place extends AsyncDisposable {
  grain<G extends Grain>(type: GrainClass<G> | string, key: GrainKey): GrainRef<G>;
  subscribe(listener: (event: RuntimeEvent) => void): () => void;
}

async function embedded(grains: readonly GrainClass[], options: Options = {}): Promise<Place> {
  return Silo.start({ log: 'silent', ...options, grains });
}

async function clustered(
  grains: readonly GrainClass[],
  { stores, ...options }: Options = {},
): Promise<Place> {
  const cluster = await TestCluster.start({ grains, options, ...(stores && { stores }) });
  return {
    grain: (type, key) => cluster.grain(type, key),
    subscribe: (listener) => cluster.subscribe((_silo, event) => listener(event)),
    [Symbol.asyncDispose]: () => cluster[Symbol.asyncDispose](),
  };
}

/** What a grain does must not depend on where its caller is: in the same silo, or in none. */
export const PLACES: readonly [
  string,
  (grains: readonly GrainClass[], options?: Options) => Promise<Place>,
][] = [
  ['on the silo of their caller', embedded],
  ['on three silos, called by a client', clustered],
];

/** The next event that fits. Listen before what causes it. */
export function nextEvent<Type extends RuntimeEvent['type']>(
  place: Pick<Place, 'subscribe'>,
  type: Type,
  fits: (event: Extract<RuntimeEvent, { type: Type }>) => boolean = () => true,
): Promise<Extract<RuntimeEvent, { type: Type }>> {
  return new Promise((resolve) => {
    const stop = place.subscribe((event) => {
      if (event.type !== type || !fits(event as Extract<RuntimeEvent, { type: Type }>)) return;
      stop();
      resolve(event as Extract<RuntimeEvent, { type: Type }>);
    });
  });
}

/** What a promise was rejected with. */
export async function failure(promise: Promise<unknown>): Promise<Error & Record<string, unknown>> {
  try {
    await promise;
  } catch (error) {
    return error as Error & Record<string, unknown>;
  }
  throw new Error('it was expected to fail');
}
