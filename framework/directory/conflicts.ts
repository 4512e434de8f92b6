import type { GrainId } from '../identity/grain-id.ts';
import { isNodeAddress, type NodeAddress } from '../identity/silo-address.ts';
import type { ControlChannel } from '../messaging/control-channel.ts';
import type { RuntimeEvents } from '../observability/events.ts';
import { type Contender, winnerOf } from './conflict.ts';
import type { LocalActivations } from './local-activations.ts';
import { isUserGroup } from './process-groups.ts';
import type { Replicas } from './replicas.ts';

export interface ConflictsOptions {
  readonly self: NodeAddress;
  readonly control: ControlChannel;
  readonly events: RuntimeEvents;
  readonly local: LocalActivations;
  readonly replicas: Replicas;
}

/** How long the silo of a loser may take to say that it has heard, before it is told again. */
const HEAR_MS = 2_000;

/**
 * Grains that are active twice, as the primary of their partition sees it after a split: it names the winner
 * and tells the others, again and again until they are gone.
 */
export class Conflicts {
  readonly #options: ConflictsOptions;
  readonly #open = new Set<GrainId>();
  /** Losers on other silos, by activation, and whether these have said that they know. */
  readonly #dismissed = new Map<string, { readonly grain: GrainId; heard: boolean }>();
  /** Silos that have not said yet that they know: the loser, which was here, is gone. */
  readonly #conceded = new Map<GrainId, NodeAddress>();

  /** Called when one more silo has said that it knows what it has lost. */
  onHeard: () => void = () => {};

  constructor(options: ConflictsOptions) {
    this.#options = options;
    options.control.on('yield', (_from, body) => {
      const [id, activationId, winner] = Array.isArray(body) ? body : [];
      if (typeof id !== 'string' || typeof activationId !== 'string' || !isNodeAddress(winner)) return false;
      options.local.yield(id, activationId, winner);
      return true;
    });
    options.control.on('prevail', (_from, id) => {
      if (typeof id === 'string') options.local.prevail(id);
      return true;
    });
  }

  /** Grains whose losers are not gone yet. */
  get open(): ReadonlySet<GrainId> {
    return this.#open;
  }

  /** Whether every silo knows which of its activations have lost: from then on these take no turn. */
  get heard(): boolean {
    for (const { heard } of this.#dismissed.values()) if (!heard) return false;
    return true;
  }

  /** Another primary decides, or one of the activations has gone. */
  forget(id: GrainId): void {
    if (!this.#open.delete(id)) return;
    for (const [loser, { grain }] of this.#dismissed) if (grain === id) this.#dismissed.delete(loser);
    this.onHeard();
  }

  clear(): void {
    this.#open.clear();
    this.#dismissed.clear();
  }

  /** Where a grain is active away from this silo; the winner's silo if in several places. */
  locate(partition: number, id: GrainId): NodeAddress | undefined {
    const { self, replicas } = this.#options;
    const elsewhere = (replicas.find(partition)?.members(id) ?? []).filter(({ owner }) => owner !== self);
    if (elsewhere.length < 2) return elsewhere[0]?.owner;
    return winnerOf(this.#contenders(partition, id), self)?.silo;
  }

  /** A loser of this silo is gone. The winner may hold what it read before the loser's last save. */
  conceded(id: GrainId, winner: NodeAddress): void {
    const { self, local } = this.#options;
    if (winner === self) return local.prevail(id);
    this.#conceded.set(id, winner);
    this.#tellWinner(id, winner);
  }

  /** Says again what may have been lost: a winner that is not told goes on with an older state for ever. */
  repeat(present: ReadonlySet<NodeAddress>): void {
    for (const [id, winner] of this.#conceded) {
      if (present.has(winner)) this.#tellWinner(id, winner);
      else this.#conceded.delete(id); // gone with its silo; one that returns compares all that it holds
    }
  }

  #tellWinner(id: GrainId, winner: NodeAddress): void {
    this.#options.control.request(winner, 'prevail', id, HEAR_MS).then(
      () => {
        if (this.#conceded.get(id) === winner) this.#conceded.delete(id);
      },
      () => {}, // it is told again at the next heartbeat
    );
  }

  /** Looks whether a grain is active more than once; all but one must go. */
  resolve(partition: number, id: GrainId): void {
    if (isUserGroup(id)) return;
    const { self } = this.#options;
    const contenders = this.#contenders(partition, id);
    const winner = winnerOf(contenders, self);
    if (contenders.length < 2 || !winner) return this.forget(id);
    const first = !this.#open.has(id);
    this.#open.add(id);
    for (const loser of contenders) if (loser !== winner) this.#dismiss(id, winner, loser, first);
  }

  #dismiss(id: GrainId, winner: Contender, loser: Contender, first: boolean): void {
    const { self, control, local, events } = this.#options;
    const { silo: loserSilo, activationId } = loser;
    if (first) {
      const parties = { winner: winner.activationId, loser: activationId, loserSilo };
      events.publish({ type: 'conflictResolved', grain: id, ...parties });
    }
    if (loserSilo === self) return local.yield(id, activationId, winner.silo);
    const dismissal = this.#dismissed.get(activationId) ?? { grain: id, heard: false };
    this.#dismissed.set(activationId, dismissal);
    control.request(loserSilo, 'yield', [id, activationId, winner.silo], HEAR_MS).then(
      () => {
        dismissal.heard = true;
        this.onHeard();
      },
      () => {}, // it is told again at the next heartbeat, or it is gone, which makes a new era
    );
  }

  #contenders(partition: number, id: GrainId): Contender[] {
    const { self, local, replicas } = this.#options;
    const contenders: Contender[] = (replicas.find(partition)?.members(id) ?? [])
      .filter((member) => member.owner !== self)
      .map(({ owner, value }) => ({ silo: owner, activationId: value.id, since: value.since }));
    const here = local.find(id);
    if (here) contenders.push({ silo: self, activationId: here.activationId, since: here.since });
    return contenders;
  }
}
