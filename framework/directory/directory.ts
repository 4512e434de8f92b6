import type { GrainId } from '../identity/grain-id.ts';
import type { NodeAddress } from '../identity/silo-address.ts';
import { LIMITS } from '../limits.ts';
import type { Departure, Era } from '../membership/cluster.ts';
import type { Membership } from '../membership/membership.ts';
import type { ControlChannel } from '../messaging/control-channel.ts';
import type { RuntimeEvents } from '../observability/events.ts';
import type { Clock, Timer } from '../system/clock.ts';
import { Conflicts } from './conflicts.ts';
import type { LocalActivation, LocalActivations } from './local-activations.ts';
import type { Changes, Delta, ProcessGroups } from './process-groups.ts';
import { Replicas } from './replicas.ts';
import { RollCall, STAGES } from './roll-call.ts';

/**
 * Where grains are.
 *
 * A partition's primary decides for the grains in it. The role passes from silo to silo by one rule: *a
 * primary decides only after every silo present in its era has entered the same era, and what each holds has
 * been reported to whoever keeps it*. Whoever has entered has given up what the new era took from it, so
 * nobody else decides; and the reports list every activation there is, so nothing is activated twice. Nobody
 * needs to know who was primary before, or in what order the changes came. A silo that is gone is not present
 * in the era; one that was gone and returns has a new epoch, which makes a new era, in which it decides
 * nothing before everybody has settled with it again. That all have come so far, a roll call finds out.
 *
 * An activation at its primary needs no entry: the ring finds it. One that is elsewhere is a member of the
 * process group of its grain, written by the silo that holds it, kept by the partition's replicas. Reports
 * carry digests of what a silo owns there; whoever finds a difference pulls the owner's slice. The same
 * reports go round all the time, one silo at a time: they repair whatever was lost.
 */
export interface DirectoryOptions {
  readonly clock: Clock;
  readonly events: RuntimeEvents;
  readonly control: ControlChannel;
  readonly membership: Membership;
  readonly local: LocalActivations;
  /** Silos that keep the groups of a partition, the primary included. */
  readonly replicas: number;
  /** This silo's load, told to the others with each report. */
  readonly load: () => number;
}

/** A report that asks for nothing is repeated at this spacing while something is awaited. */
const REPEAT_MS = 500;
/** Of the heartbeats, every so many also re-assert what this silo owns, to one other silo. */
const REASSERT_BEATS = 4;

interface Report {
  readonly era: string;
  readonly load: number;
  /** Partition and digest, in turn. */
  readonly digests: readonly number[];
}

export class Directory {
  readonly #options: DirectoryOptions;
  readonly #membership: Membership;
  readonly #control: ControlChannel;
  readonly #self: NodeAddress;
  readonly #replicas: Replicas;
  readonly #open: Uint8Array;
  readonly #reports = new Map<NodeAddress, Report>();
  readonly #placed = new Map<NodeAddress, number>();
  /** Silos that have not taken in yet what this one reported in this era. */
  readonly #untold = new Set<NodeAddress>();
  readonly #rollCall: RollCall;
  readonly #conflicts: Conflicts;
  readonly #groupListeners = new Set<(changes: Changes) => void>();
  /** The last era in which all silos were known to be, and their epochs in it. */
  #settledEra = '';
  #met: ReadonlyMap<NodeAddress, number> = new Map();
  #held: { readonly partition: number; readonly release: () => void }[] = [];
  #era: Era;
  #epoch: number;
  #enteredAt: number;
  #returning = false;
  /** Of the membership: when this era was entered, and in the last era in which all had settled. */
  #returnsEntered = 0;
  #returnsSettled = -1;
  #repeat: Timer | undefined;
  #beats = 0;

  /** This silo may take turns again. */
  onReady: () => void = () => {};

  constructor(options: DirectoryOptions) {
    this.#options = options;
    this.#membership = options.membership;
    this.#control = options.control;
    this.#self = options.membership.address;
    this.#era = options.membership.era;
    this.#epoch = options.membership.epoch;
    this.#enteredAt = options.clock.now();
    this.#replicas = new Replicas(this.#self, options.replicas, this.#era);
    this.#replicas.onChange = (changes) => this.#tell(changes);
    const { control, events, local } = options;
    this.#conflicts = new Conflicts({ self: this.#self, control, events, local, replicas: this.#replicas });
    this.#conflicts.onHeard = () => this.#settledIfHeard();
    this.#rollCall = new RollCall(this.#self, control, (stage) =>
      stage === STAGES.entered ? this.#settle() : this.#readyIfAll(),
    );
    this.#open = new Uint8Array(this.#era.ring.partitions);
    options.membership.onEra((era, departed) => this.#enter(era, departed));
    options.membership.onHeartbeat = () => this.#heartbeat();
    this.#listen();
  }

  // ---- what the dispatcher asks

  get self(): NodeAddress {
    return this.#self;
  }

  get era(): Era {
    return this.#era;
  }

  partitionOf(id: GrainId): number {
    return this.#era.ring.partitionOf(id);
  }

  /** The silo that decides for a partition. */
  primary(partition: number): NodeAddress | undefined {
    return this.#era.primaryAddress(partition);
  }

  /**
   * Whether this silo is primary of the partition and may decide now; not while it returns from an absence.
   */
  isOpen(partition: number): boolean {
    return this.#open[partition] === 1 && this.ready;
  }

  /**
   * Whether this silo may take turns: not while it returns from an absence and has not settled what happened
   * meanwhile.
   */
  get ready(): boolean {
    return !this.#membership.away && !this.#returning;
  }

  /**
   * While it stays the same, nobody who came back can have written what a grain here has read. It changes
   * when a silo returns, and again when all have settled with it: a turn that had begun before may have saved
   * and ended in between, and left nothing that anybody could see. What still runs then is a conflict.
   */
  get returns(): number {
    const { returns } = this.#membership;
    return 2 * returns + (returns === this.#returnsSettled ? 1 : 0);
  }

  /** Whether all silos are in the present era, so that this one decides for its share. */
  get hasHeardAll(): boolean {
    return this.#settledEra === this.#era.id;
  }

  /** Nothing is awaited, held or in conflict. */
  get settled(): boolean {
    const open = this.#untold.size + this.#conflicts.open.size + this.#held.length;
    return this.ready && open === 0 && this.#rollCall.all === STAGES.settled;
  }

  /** Calls `release` when the partition opens or its primary changes. False when too many wait already. */
  hold(partition: number, release: () => void): boolean {
    if (this.#held.length >= LIMITS.heldCalls) return false;
    this.#held.push({ partition, release });
    return true;
  }

  /** Calls that wait for a partition. */
  get held(): number {
    return this.#held.length;
  }

  /** Where the grain is, if it is active away from this silo. Only the primary knows. */
  locate(partition: number, id: GrainId): NodeAddress | undefined {
    return this.#conflicts.locate(partition, id);
  }

  /** The load that each silo told last: its number of activations. */
  loadOf(silo: NodeAddress): number {
    if (silo === this.#self) return this.#options.load();
    return (this.#reports.get(silo)?.load ?? 0) + (this.#placed.get(silo) ?? 0);
  }

  /** An activation was ordered there: it counts until the silo's next report does. */
  placedAt(silo: NodeAddress): void {
    this.#placed.set(silo, (this.#placed.get(silo) ?? 0) + 1);
  }

  // ---- what the catalog tells

  /**
   * An activation was created here. Away from its primary it gets an entry, which the replicas are told of.
   */
  created(partition: number, activation: LocalActivation): void {
    if (this.primary(partition) === this.#self) return;
    const value = { id: activation.activationId, since: activation.since };
    this.#spread(partition, this.#replicas.mine(partition).join(this.#self, activation.id, value));
  }

  /** An activation that was here is gone; one that had lost leaves the grain to another at `winner`. */
  gone(partition: number, activation: LocalActivation, winner: NodeAddress | undefined): void {
    if (winner !== undefined) this.#conflicts.conceded(activation.id, winner);
    const { id, activationId } = activation;
    const delta =
      this.#replicas.find(partition) && this.#replicas.mine(partition).leave(this.#self, id, activationId);
    if (delta) this.#spread(partition, delta);
    this.#oneLess(partition, id);
  }

  /** This silo decides, and has an activation replaced by one elsewhere: meanwhile it does not count. */
  replaces(id: GrainId, activationId: string): void {
    this.#conflicts.replaced.set(id, activationId);
  }

  /** That is over. */
  hasReplaced(id: GrainId): void {
    this.#conflicts.replaced.delete(id);
  }

  /**
   * The last dot this silo gave in a partition: goes with a call that found nothing here, as proof that the
   * entry is old.
   */
  lastDot(partition: number): number {
    return this.#replicas.find(partition)?.lastDot(this.#self) ?? 0;
  }

  /** `silo` itself said that it holds nothing of this grain. */
  retract(partition: number, id: GrainId, silo: NodeAddress, upTo: number): void {
    this.#replicas.retract(partition, id, silo, upTo);
  }

  /** What this silo owns of one grain: the answer to an order to activate. */
  entryOf(partition: number, id: GrainId): Delta {
    return this.#replicas.groupsOf(partition).slice(this.#self, id);
  }

  /** Takes in what a silo says of its own entries. */
  learn(partition: number, delta: unknown, from: NodeAddress): void {
    const changes = this.#replicas.take(from, partition, delta);
    if (!changes || this.#open[partition] !== 1) return;
    for (const { group } of changes.joined) this.#conflicts.resolve(partition, group);
  }

  // ---- process groups of users

  /** The silos that keep a partition's groups, the primary first. */
  replicas(partition: number): NodeAddress[] {
    return this.#replicas.silosOf(partition);
  }

  /** The groups of a partition, as far as this silo keeps them. */
  replica(partition: number): ProcessGroups | undefined {
    return this.#replicas.find(partition);
  }

  /**
   * This silo's own entries in a partition change. Resolves when the replicas that can be reached have it.
   */
  async assert(partition: number, change: (groups: ProcessGroups) => Delta | undefined): Promise<void> {
    const delta = change(this.#replicas.mine(partition));
    if (!delta) return;
    const others = this.replicas(partition).filter((silo) => silo !== this.#self);
    await Promise.allSettled(
      others.map((silo) => this.#control.request(silo, 'delta', [partition, delta], 2 * REPEAT_MS)),
    );
  }

  onGroupChange(listener: (changes: Changes) => void): () => void {
    this.#groupListeners.add(listener);
    return () => this.#groupListeners.delete(listener);
  }

  stop(): void {
    this.#repeat?.cancel();
  }

  // ---- entering an era

  #enter(era: Era, departed: readonly Departure[]): void {
    const before = this.#era;
    const continuous = this.#membership.epoch === this.#epoch;
    this.#era = era;
    this.#epoch = this.#membership.epoch;
    this.#enteredAt = this.#options.clock.now();
    this.#returnsEntered = this.#membership.returns;
    this.#replicas.enter(era);
    if (!continuous) this.#returning = true;
    for (const { silo } of departed) this.#forget(silo);
    for (let partition = 0; partition < this.#open.length; partition++) {
      const was = before.primaryAddress(partition);
      const is = era.primaryAddress(partition);
      if (is !== this.#self || was !== this.#self || !continuous) this.#open[partition] = 0;
      if (is !== was) this.#reassert(partition, is === this.#self);
    }
    this.#settledEra = '';
    this.#conflicts.clear();
    this.#untold.clear();
    for (const silo of this.#audience()) {
      this.#untold.add(silo);
      this.#report(silo);
    }
    this.#rollCall.enter(era.id, era.present);
    this.#release((partition) => this.primary(partition) !== this.#self);
    for (const [silo, report] of [...this.#reports]) {
      if (report.era === era.id) void this.#take(silo, report);
    }
    this.#enteredIfTold();
    this.#scheduleRepeat();
  }

  /**
   * Who must hear this silo's report before the era can settle: those that keep what it owns, and those that
   * may believe something old of it, since they, or this silo, were away. In a small cluster it is everybody,
   * as with heartbeats: then loads are known at once.
   */
  #audience(): NodeAddress[] {
    const { present, epochs } = this.#era;
    if (!present.has(this.#self)) return [];
    const others = [...present].filter((silo) => silo !== this.#self);
    if (others.length <= LIMITS.monitors || this.#returning) return others;
    const keepers = this.#replicas.keepers();
    return others.filter((silo) => keepers.has(silo) || epochs.get(silo) !== (this.#met.get(silo) ?? 0));
  }

  /** Activations here get an entry when their primary is elsewhere, and lose it when it is here. */
  #reassert(partition: number, home: boolean): void {
    for (const activation of this.#options.local.inPartition(partition)) {
      const { id, activationId, since } = activation;
      const mine = this.#replicas.mine(partition);
      if (home) mine.leave(this.#self, id, activationId);
      else if (!this.hasEntry(partition, this.#self, activation))
        mine.join(this.#self, id, { id: activationId, since });
    }
  }

  /** Whether an activation of a silo is known here. */
  hasEntry(
    partition: number,
    silo: NodeAddress,
    { id, activationId }: Omit<LocalActivation, 'since'>,
  ): boolean {
    const members = this.#replicas.find(partition)?.members(id) ?? [];
    return members.some((member) => member.owner === silo && member.value.id === activationId);
  }

  #forget(silo: NodeAddress): void {
    this.#reports.delete(silo);
    this.#placed.delete(silo);
    this.#replicas.forget(silo);
  }

  #report(to: NodeAddress): void {
    const digests = this.#replicas.digestsFor(to);
    this.#control.send(to, 'report', {
      era: this.#era.id,
      load: this.#options.load(),
      digests,
    } satisfies Report);
  }

  /** Takes in a report of this era: pulls what differs, then counts it. */
  async #take(silo: NodeAddress, report: Report): Promise<void> {
    const era = this.#era;
    let differing = this.#replicas.differing(silo, report.digests);
    while (differing.length > 0) {
      const answer = await this.#control
        .request(silo, 'pull', differing, 4 * REPEAT_MS)
        .catch(() => undefined);
      if (this.#era !== era || !Array.isArray(answer)) return;
      const got = new Set<number>();
      for (const [partition, delta] of answer as [number, unknown][]) {
        got.add(partition);
        this.learn(partition, delta, silo);
      }
      if (got.size === 0) return;
      differing = differing.filter((partition) => !got.has(partition));
    }
    this.#control.send(silo, 'taken', era.id);
  }

  #enteredIfTold(): void {
    if (this.#untold.size === 0) this.#rollCall.reached(STAGES.entered);
  }

  /** All silos are in this era, and all that this one keeps has been reported to it. */
  #settle(): void {
    const { clock, events } = this.#options;
    this.#met = this.#era.epochs;
    this.#replicas.heardByAll();
    for (let partition = 0; partition < this.#open.length; partition++) {
      if (this.primary(partition) !== this.#self) continue;
      this.#open[partition] = 1;
      for (const id of [...(this.#replicas.find(partition)?.groups() ?? [])])
        this.#conflicts.resolve(partition, id);
    }
    this.#settledEra = this.#era.id;
    events.publish({ type: 'eraSettled', era: this.#era.id, tookMs: clock.now() - this.#enteredAt });
    this.#release(() => true);
    this.#settledIfHeard();
  }

  /** Who returns may take turns when everybody who has lost an activation knows it. */
  #settledIfHeard(): void {
    if (this.hasHeardAll && this.#conflicts.heard) this.#rollCall.reached(STAGES.settled);
  }

  #readyIfAll(): void {
    this.#repeat?.cancel();
    this.#returnsSettled = this.#returnsEntered;
    if (!this.#returning) return;
    this.#returning = false;
    this.#release(() => true);
    this.onReady();
  }

  #release(which: (partition: number) => boolean): void {
    const held = this.#held;
    if (held.length === 0) return;
    this.#held = held.filter(({ partition }) => !which(partition));
    for (const { partition, release } of held) if (which(partition)) release();
  }

  #scheduleRepeat(): void {
    this.#repeat?.cancel();
    if (this.#rollCall.all === STAGES.settled) return;
    this.#repeat = this.#options.clock.inBackground(REPEAT_MS, () => {
      for (const silo of this.#untold) this.#report(silo);
      this.#rollCall.repeat();
      this.#scheduleRepeat();
    });
  }

  #heartbeat(): void {
    for (const id of this.#conflicts.open.keys()) this.#conflicts.resolve(this.partitionOf(id), id);
    this.#conflicts.repeat(this.#era.present);
    if (++this.#beats % REASSERT_BEATS !== 0) return;
    const others = [...this.#era.present].filter((silo) => silo !== this.#self);
    const next = others[(this.#beats / REASSERT_BEATS) % Math.max(others.length, 1)];
    if (next) this.#report(next);
  }

  // ---- messages

  #listen(): void {
    const control = this.#control;
    control.on('report', (from, body) => {
      const report = parseReport(body);
      if (!report) throw new Error('malformed report');
      const [oldest] = this.#reports.set(from, report).keys();
      if (this.#reports.size > this.#era.present.size + LIMITS.departedSilos)
        this.#reports.delete(oldest as NodeAddress);
      this.#placed.delete(from);
      if (report.era === this.#era.id && this.#era.present.has(from)) void this.#take(from, report);
    });
    control.on('taken', (from, era) => {
      if (era !== this.#era.id) return;
      this.#untold.delete(from);
      this.#enteredIfTold();
    });
    control.on('pull', (_from, body) => this.#replicas.slices(Array.isArray(body) ? body : []));
    control.on('delta', (from, body) => {
      const [partition, delta] = Array.isArray(body) ? body : [];
      this.learn(partition, delta, from);
      return true;
    });
  }

  #spread(partition: number, delta: Delta): void {
    for (const silo of this.replicas(partition)) {
      if (silo !== this.#self) this.#control.send(silo, 'delta', [partition, delta]);
    }
  }

  #tell(changes: Changes): void {
    if (changes.joined.length + changes.left.length === 0) return;
    for (const { group } of changes.left) this.#oneLess(this.partitionOf(group), group);
    for (const listener of this.#groupListeners) listener(changes);
  }

  /** One of the activations of a grain has gone. There may still be several, if there were more. */
  #oneLess(partition: number, id: GrainId): void {
    if (!this.#conflicts.open.has(id)) return;
    const decides = this.#open[partition] === 1 && this.primary(partition) === this.#self;
    if (decides) this.#conflicts.resolve(partition, id);
    else this.#conflicts.forget(id);
  }
}

function parseReport(body: unknown): Report | undefined {
  if (typeof body !== 'object' || body === null) return undefined;
  const { era, load, digests } = body as Record<string, unknown>;
  if (typeof era !== 'string' || typeof load !== 'number') return undefined;
  if (!Array.isArray(digests) || !digests.every((n) => Number.isSafeInteger(n))) return undefined;
  return { era, load, digests };
}
