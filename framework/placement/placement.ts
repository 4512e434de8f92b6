import type { Labels } from '../identity/labels.ts';
import type { Random } from '../system/random.ts';

/** A silo that could take a new activation. */
export interface PlacementCandidate {
  readonly silo: string;
  /** Activations it has, as it last told. */
  readonly load: number;
  readonly labels: Labels;
}

/**
 * What a placement may look at. All of it is the same however often it is asked, so a placement can be a pure
 * function.
 */
export interface PlacementRequest {
  /** The grain, as `Type/key`. */
  readonly grain: string;
  /** The silo that the call came from; undefined when it came from a client. */
  readonly caller: string | undefined;
  /**
   * Silos that have the grain's class and the labels that it requires, in the order in which the ring prefers
   * them for this grain; of those only the ones with most of the labels that it prefers. Never empty.
   */
  readonly candidates: readonly PlacementCandidate[];
  readonly random: Random;
}

/** Chooses the silo for a grain that is active nowhere. Runs on the silo that decides for the grain. */
export interface Placement {
  /** The name of one of the candidates. */
  choose(request: PlacementRequest): string;
}

function first(request: PlacementRequest): string {
  return (request.candidates[0] as PlacementCandidate).silo;
}

const ring: Placement = { choose: first };

const preferLocal: Placement = {
  choose: (request) => request.candidates.find(({ silo }) => silo === request.caller)?.silo ?? first(request),
};

const random: Placement = {
  choose: ({ candidates, random }) =>
    (candidates[Math.floor(random.next() * candidates.length)] as PlacementCandidate).silo,
};

const leastLoaded: Placement = {
  choose({ candidates }) {
    const least = candidates.reduce((a, b) => (b.load < a.load ? b : a));
    return least.silo;
  },
};

/** The placements that have a name. */
export const PLACEMENTS = { ring, preferLocal, random, leastLoaded } as const;
