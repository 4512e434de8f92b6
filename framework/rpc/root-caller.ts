import { InvalidKeyError } from '../errors.ts';
import type { Grain, GrainClass } from '../grain/grain.ts';
import { type GrainType, grainTypeOf } from '../grain/grain-type.ts';
import type { Caller, OutgoingCall } from '../grain/reference.ts';
import type { GrainRef } from '../grain/reference-types.ts';
import { canonicalKey, type GrainKey, grainIdOf, isGrainId } from '../identity/grain-id.ts';
import { NO_CHAIN } from './call.ts';
import type { CallsOut } from './calls-out.ts';
import type { CallOrigin } from './outbound.ts';
import { referenceTo } from './reference-codec.ts';

/**
 * Calls that begin outside of any grain: those of a client, and those of the program that a silo is embedded
 * in.
 */
export class RootCaller implements Caller {
  readonly #out: CallsOut;
  readonly #types: Map<string, GrainType>;
  readonly #origin: CallOrigin;

  constructor(out: CallsOut, types: Iterable<GrainType> = []) {
    this.#out = out;
    this.#types = new Map([...types].map((type) => [type.name, type]));
    this.#origin = { chain: NO_CHAIN, deadline: Number.POSITIVE_INFINITY, baggage: undefined, binder: this };
  }

  /**
   * A reference to a grain. A class that is given is remembered, so that references in results are of its
   * kind.
   */
  grain<G extends Grain>(type: GrainClass<G> | string, key: GrainKey): GrainRef<G> {
    let name: string;
    if (typeof type === 'string') name = type;
    else {
      const known = grainTypeOf(type);
      name = known.name;
      if (!this.#types.has(name)) this.#types.set(name, known);
    }
    return referenceTo(grainIdOf(name, canonicalKey(name, key)), this) as unknown as GrainRef<G>;
  }

  /** A reference to the grain with a canonical id. Throws `InvalidKeyError`. */
  reference(id: string): GrainRef<Grain> {
    if (!isGrainId(id)) throw new InvalidKeyError(`'${id}' is not a grain id`);
    return referenceTo(id, this) as unknown as GrainRef<Grain>;
  }

  grainType(name: string): GrainType | undefined {
    return this.#types.get(name);
  }

  invoke(call: OutgoingCall): Promise<unknown> {
    return this.#out.invoke(call, this.#origin);
  }

  stream(call: OutgoingCall): AsyncIterableIterator<unknown> {
    return this.#out.stream(call, this.#origin);
  }

  invokeOrStream(call: OutgoingCall): Promise<unknown> & AsyncIterable<unknown> {
    return this.#out.invokeOrStream(call, this.#origin);
  }

  now(): number {
    return this.#out.now();
  }
}
