import type { Directory } from '../directory/directory.ts';
import { ActivationError, GrainTypeNotFoundError } from '../errors.ts';
import type { GrainType } from '../grain/grain-type.ts';
import { type GrainId, typeOf } from '../identity/grain-id.ts';
import { type NodeAddress, nodeName } from '../identity/silo-address.ts';
import { addressOf } from '../membership/view.ts';
import { PLACEMENTS, type PlacementCandidate } from '../placement/placement.ts';
import type { Random } from '../system/random.ts';

/** Chooses the silo for a grain that is active nowhere, on the silo that decides for it. */
export class Placer {
  readonly #self: NodeAddress;
  readonly #directory: Directory;
  readonly #random: Random;

  constructor(self: NodeAddress, directory: Directory, random: Random) {
    this.#self = self;
    this.#directory = directory;
    this.#random = random;
  }

  /**
   * The silo where the grain is to be activated. `type` is undefined when this silo does not have the class;
   * then the ring decides among those that have it. Throws `GrainTypeNotFoundError` when none has, and
   * `ActivationError` when a placement of the user's own throws, or chooses none of them.
   */
  choose(type: GrainType | undefined, id: GrainId, partition: number, caller: NodeAddress): NodeAddress {
    if (type?.placement === PLACEMENTS.ring) return this.#self;
    const { era } = this.#directory;
    const candidates: PlacementCandidate[] = [];
    for (const silo of era.ring.preferenceList(partition, era.ring.silos.length)) {
      const entry = era.entry(silo);
      if (entry?.types.includes(typeOf(id)))
        candidates.push({ silo, load: this.#directory.loadOf(addressOf(entry)) });
    }
    const [first] = candidates;
    if (!first) throw this.#noSuchType(id);
    const name = type ? this.#ask(type, id, candidates, caller) : first.silo;
    return era.addressOf(name) ?? (era.addressOf(first.silo) as NodeAddress);
  }

  #ask(type: GrainType, id: GrainId, candidates: PlacementCandidate[], caller: NodeAddress): string {
    const silo = nodeName(caller);
    let cause: unknown;
    try {
      const name = type.placement.choose({
        grain: id,
        caller: this.#directory.era.entry(silo) ? silo : undefined,
        candidates,
        random: this.#random,
      });
      if (candidates.some((candidate) => candidate.silo === name)) return name;
      cause = new TypeError(`it chose '${String(name)}', which is none of its candidates`);
    } catch (error) {
      cause = error;
    }
    const text = `${id}: the placement of ${type.name} found no silo: ${String(cause)}`;
    throw new ActivationError(text, { grain: id, cause });
  }

  #noSuchType(id: GrainId): GrainTypeNotFoundError {
    const known = new Set(this.#directory.era.active.flatMap((entry) => entry.types));
    return new GrainTypeNotFoundError(
      `no silo of the cluster has a grain type '${typeOf(id)}'; ` +
        `it has: ${[...known].sort().join(', ') || 'none'}. ` +
        'Pass its class to Silo.start({ grains: [...] })',
      { grain: id },
    );
  }
}
