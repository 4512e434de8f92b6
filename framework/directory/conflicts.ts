import type { GrainId } from '../identity/grain-id.ts';
import { isNodeAddress, type NodeAddress } from '../identity/silo-address.ts';
import type { ControlChannel } from '../messaging/control-channel.ts';
import type { RuntimeEvents } from '../observability/events.ts';
import { type Contender, winnerOf } from './conflict.ts';
import type { LocalActivations } from './local-activations.ts';
import { isUserGroup, type Member } from './process-groups.ts';
import type { Replicas } from './replicas.ts';

export interface ConflictsOptions {
  readonly self: NodeAddress;
  readonly control: ControlChannel;
  readonly events: RuntimeEvents;
  readonly local: LocalActivations;
  readonly replicas: Replicas;
}

/** A loser on another silo. */
interface Dismissal {
  /** Its silo has been told, and has yet to answer. */
  asked: boolean;
  heard: boolean;
}

/** A winner on another silo, which has yet to say that it knows: the loser, which was here, is gone. */
interface Concession {
  readonly winner: NodeAddress;
  asked: boolean;
}

/** How long the silo of a loser may take to say that it has heard, before it is told again. */
const HEAR_MS = 2_000;

/**
 * Grains that are active twice, as the primary of their partition sees it after a split: it names the winner
 * and tells the others, again and again until they are gone.
 */
export class Conflicts {
  readonly #options: ConflictsOptions;
  /** With the losers on other silos, by activation. */
  readonly #open = new Map<GrainId, Map<string, Dismissal>>();
  /** Losers whose silos have not said yet that they know. Counted: after a split there may be very many. */
  #unheard = 0;
  readonly #conceded = new Map<GrainId, Concession>();
  /** Activations that have taken their last turn, and are being replaced by this silo's order. */
  readonly replaced = new Map<GrainId, string>();

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
  get open(): ReadonlyMap<GrainId, unknown> {
    return this.#open;
  }

  /** Whether every silo knows which of its activations have lost: from then on these take no turn. */
  get heard(): boolean {
    return this.#unheard === 0;
  }

  /** Another primary decides, or all but one of the activations have gone. */
  forget(id: GrainId): void {
    const losers = this.#open.get(id);
    if (!losers) return;
    this.#open.delete(id);
    for (const { heard } of losers.values()) if (!heard) this.#unheard--;
    this.onHeard();
  }

  clear(): void {
    this.#open.clear();
    this.#unheard = 0;
  }

  /** Where a grain is active away from this silo; the winner's silo if in several places. */
  locate(partition: number, id: GrainId): NodeAddress | undefined {
    const { self, replicas } = this.#options;
    const isThere = ({ owner, value }: Member) => owner !== self && this.replaced.get(id) !== value.id;
    const elsewhere = (replicas.find(partition)?.members(id) ?? []).filter(isThere);
    if (elsewhere.length < 2) return elsewhere[0]?.owner;
    return winnerOf(this.#contenders(partition, id), self)?.silo;
  }

  /** A loser of this silo is gone. The winner may hold what it read before the loser's last save. */
  conceded(id: GrainId, winner: NodeAddress): void {
    const { self, local } = this.#options;
    if (winner === self) return local.prevail(id);
    const concession = { winner, asked: false };
    this.#conceded.set(id, concession);
    this.#tellWinner(id, concession);
  }

  /** Says again what may have been lost: a winner that is not told goes on with an older state for ever. */
  repeat(present: ReadonlySet<NodeAddress>): void {
    for (const [id, concession] of this.#conceded) {
      if (present.has(concession.winner)) this.#tellWinner(id, concession);
      else this.#conceded.delete(id); // gone with its silo; one that returns compares all that it holds
    }
  }

  #tellWinner(id: GrainId, concession: Concession): void {
    if (concession.asked) return;
    concession.asked = true;
    this.#options.control.request(concession.winner, 'prevail', id, HEAR_MS).then(
      () => {
        if (this.#conceded.get(id) === concession) this.#conceded.delete(id);
      },
      () => {
        concession.asked = false; // it is told again at the next heartbeat
      },
    );
  }

  /** Looks whether a grain is active more than once; all but one must go. */
  resolve(partition: number, id: GrainId): void {
    if (isUserGroup(id)) return;
    const { self } = this.#options;
    const contenders = this.#contenders(partition, id);
    const winner = winnerOf(contenders, self);
    if (contenders.length < 2 || !winner) return this.forget(id);
    const isNew = !this.#open.has(id);
    this.#dropGone(this.#losersOf(id), contenders);
    for (const loser of contenders) {
      if (loser === winner) continue;
      if (isNew) this.#publish(id, winner, loser);
      if (loser.silo === self) this.#options.local.yield(id, loser.activationId, winner.silo);
      else this.#dismiss(id, winner, loser);
    }
    if (!isNew) this.onHeard();
  }

  #losersOf(id: GrainId): Map<string, Dismissal> {
    const losers = this.#open.get(id) ?? new Map<string, Dismissal>();
    this.#open.set(id, losers);
    return losers;
  }

  #dropGone(losers: Map<string, Dismissal>, contenders: readonly Contender[]): void {
    for (const [loser, { heard }] of losers) {
      if (contenders.some(({ activationId }) => activationId === loser)) continue;
      losers.delete(loser);
      if (!heard) this.#unheard--;
    }
  }

  #publish(grain: GrainId, { activationId: winner }: Contender, loser: Contender): void {
    const parties = { winner, loser: loser.activationId, loserSilo: loser.silo };
    this.#options.events.publish({ type: 'conflictResolved', grain, ...parties });
  }

  #dismiss(id: GrainId, winner: Contender, { silo, activationId }: Contender): void {
    const losers = this.#losersOf(id);
    const dismissal = losers.get(activationId) ?? { asked: false, heard: false };
    if (!losers.has(activationId)) this.#unheard++;
    losers.set(activationId, dismissal);
    if (dismissal.asked) return;
    dismissal.asked = true;
    this.#options.control.request(silo, 'yield', [id, activationId, winner.silo], HEAR_MS).then(
      () => {
        dismissal.asked = false;
        const stands = this.#open.get(id) === losers && losers.get(activationId) === dismissal;
        if (!stands || dismissal.heard) return;
        dismissal.heard = true;
        this.#unheard--;
        this.onHeard();
      },
      () => {
        dismissal.asked = false; // it is told again at the next heartbeat, or it is gone: a new era
      },
    );
  }

  #contenders(partition: number, id: GrainId): Contender[] {
    const { self, local, replicas } = this.#options;
    const contenders: Contender[] = (replicas.find(partition)?.members(id) ?? [])
      .filter((member) => member.owner !== self)
      .map(({ owner, value }) => ({ silo: owner, activationId: value.id, since: value.since }));
    const here = local.find(id);
    if (here) contenders.push({ silo: self, activationId: here.activationId, since: here.since });
    const replaced = this.replaced.get(id);
    return replaced === undefined ? contenders : contenders.filter((each) => each.activationId !== replaced);
  }
}
