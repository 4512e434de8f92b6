import type { Directory } from '../directory/directory.ts';
import { ActivationError, GrainTypeNotFoundError, NoSiloError } from '../errors.ts';
import type { GrainType } from '../grain/grain-type.ts';
import { type GrainId, typeOf } from '../identity/grain-id.ts';
import { countMatching } from '../identity/labels.ts';
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
   * then the ring decides among those that have it. Throws `GrainTypeNotFoundError` when none has,
   * `NoSiloError` when none of them has the labels that it requires, and `ActivationError` when a placement
   * of the user's own throws, or chooses none of the candidates.
   */
  choose(type: GrainType | undefined, id: GrainId, partition: number, caller: NodeAddress): NodeAddress {
    if (type && isPlain(type)) return this.#self;
    const candidates = this.#candidates(type, id, partition);
    const [first] = candidates;
    if (!first) throw this.#noSilo(type, id);
    const { era } = this.#directory;
    const name = type ? this.#ask(type, id, candidates, caller) : first.silo;
    return era.addressOf(name) ?? (era.addressOf(first.silo) as NodeAddress);
  }

  /** The silo of this name, if the grain can be there. */
  find(name: string, id: GrainId): NodeAddress | undefined {
    const entry = this.#directory.era.entry(name);
    return entry?.types.includes(typeOf(id)) ? addressOf(entry) : undefined;
  }

  /**
   * Where a grain belongs while nobody comes or goes: what the ring says, among those that are possible.
   * Undefined for grains that were placed by other rules: they are at home where they are.
   */
  home(type: GrainType, id: GrainId, partition: number): NodeAddress | undefined {
    if (type.placement !== PLACEMENTS.ring || type.workers !== undefined) return undefined;
    const { era } = this.#directory;
    if (isPlain(type)) {
      const primary = era.primaryAddress(partition);
      return primary && this.find(nodeName(primary), id);
    }
    const [first] = this.#candidates(type, id, partition);
    return first && era.addressOf(first.silo);
  }

  #candidates(type: GrainType | undefined, id: GrainId, partition: number): PlacementCandidate[] {
    const { era } = this.#directory;
    const candidates: PlacementCandidate[] = [];
    for (const silo of era.ring.preferenceList(partition, era.ring.silos.length)) {
      const entry = era.entry(silo);
      if (!entry?.types.includes(typeOf(id))) continue;
      candidates.push({ silo, load: this.#directory.loadOf(addressOf(entry)), labels: entry.labels });
    }
    return type?.prefers ? preferred(candidates, type.prefers) : candidates;
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

  #noSilo(type: GrainType | undefined, id: GrainId): Error {
    if (type?.requires) {
      const text = `${id}: no silo of the cluster has the class ${type.name} and the labels it requires`;
      return new NoSiloError(`${text}: ${JSON.stringify(type.requires)}`, { grain: id });
    }
    const types = this.#directory.era.active.flatMap((entry) => entry.types);
    // Without marks, as that of reminders: what they are is not the user's.
    const known = new Set(types.filter((type) => /^[\w$-]+$/.test(type)));
    return new GrainTypeNotFoundError(
      `no silo of the cluster can take a grain of type '${typeOf(id)}'; ` +
        `they take: ${[...known].sort().join(', ') || 'none'}. ` +
        'Pass its class to Silo.start({ grains: [...] }) on a silo that has the labels it requires, if any',
      { grain: id },
    );
  }
}

/** Goes to the primary of its partition, without a further look. */
function isPlain(type: GrainType): boolean {
  return type.placement === PLACEMENTS.ring && !type.requires && !type.prefers;
}

function preferred(
  candidates: readonly PlacementCandidate[],
  labels: NonNullable<GrainType['prefers']>,
): PlacementCandidate[] {
  const most = Math.max(...candidates.map((each) => countMatching(each.labels, labels)));
  return candidates.filter((each) => countMatching(each.labels, labels) === most);
}
