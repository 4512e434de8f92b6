import type { NodeAddress } from '../identity/silo-address.ts';

/** One of several activations of one grain that have found each other. */
export interface Contender {
  readonly silo: NodeAddress;
  readonly activationId: string;
  /** When it was created, in wall-clock milliseconds of its silo. */
  readonly since: number;
}

/**
 * The one that stays: the one on the partition's primary, else the oldest, else the one with the smallest id.
 * A pure function of the contenders, so that everybody who sees the same ones names the same winner; never
 * nobody.
 */
export function winnerOf(contenders: readonly Contender[], primary: NodeAddress): Contender | undefined {
  let winner: Contender | undefined;
  for (const contender of contenders) {
    if (winner === undefined || beats(contender, winner, primary)) winner = contender;
  }
  return winner;
}

function beats(a: Contender, b: Contender, primary: NodeAddress): boolean {
  const aHome = a.silo === primary;
  if (aHome !== (b.silo === primary)) return aHome;
  if (a.since !== b.since) return a.since < b.since;
  return a.activationId < b.activationId;
}
