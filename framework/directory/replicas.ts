import type { NodeAddress } from '../identity/silo-address.ts';
import { LIMITS } from '../limits.ts';
import type { Era } from '../membership/cluster.ts';
import { type Changes, type Delta, ProcessGroups, parseDelta } from './process-groups.ts';

/** Bytes of an entry beside its group's name: dot, activation id, time, and what they are packed in. */
const ENTRY_BYTES = 100;

/**
 * The process groups that one silo keeps: those of the partitions that it is a replica of, and its own
 * entries in all others. Says what differs from what another silo told, and gives and takes what repairs it.
 */
export class Replicas {
  readonly #self: NodeAddress;
  readonly #count: number;
  readonly #groups: (ProcessGroups | undefined)[];
  #era: Era;
  #silos: (NodeAddress[] | undefined)[] = [];
  /**
   * Partitions in which this silo's own entries have changed: in this era, and before it, since all silos
   * last were in one era. Who keeps them may have missed that, also that there are none any more.
   */
  #changedNow = new Set<number>();
  readonly #changedBefore = new Set<number>();

  /** Called with each change of what is kept. */
  onChange: (changes: Changes) => void = () => {};

  constructor(self: NodeAddress, count: number, era: Era) {
    this.#self = self;
    this.#count = count;
    this.#era = era;
    this.#groups = new Array(era.ring.partitions).fill(undefined);
  }

  /** From now on other silos may be replicas; what this one need not keep it lets go. */
  enter(era: Era): void {
    this.#era = era;
    this.#silos = [];
    for (const partition of this.#changedNow) this.#changedBefore.add(partition);
    this.#changedNow = new Set();
    this.#groups.forEach((groups, partition) => {
      if (!groups || this.isReplica(partition)) return;
      for (const owner of groups.owners()) if (owner !== this.#self) groups.forget(owner);
    });
  }

  /** The silos that keep a partition, the primary first. */
  silosOf(partition: number): NodeAddress[] {
    let silos = this.#silos[partition];
    if (!silos) {
      silos = this.#era.replicaAddresses(partition, this.#count);
      this.#silos[partition] = silos;
    }
    return silos;
  }

  isReplica(partition: number): boolean {
    return this.silosOf(partition).includes(this.#self);
  }

  isPartition(value: unknown): value is number {
    return Number.isInteger(value) && (value as number) >= 0 && (value as number) < this.#groups.length;
  }

  /** The groups of a partition, as far as they are kept here. */
  find(partition: number): ProcessGroups | undefined {
    return this.#groups[partition];
  }

  groupsOf(partition: number): ProcessGroups {
    let groups = this.#groups[partition];
    if (!groups) {
      groups = new ProcessGroups();
      this.#groups[partition] = groups;
    }
    return groups;
  }

  /** The groups of a partition, for a change of this silo's own entries. */
  mine(partition: number): ProcessGroups {
    this.#changedNow.add(partition);
    return this.groupsOf(partition);
  }

  /** The silos that keep what this one owns, or has owned until lately; it may be among them. */
  keepers(): Set<NodeAddress> {
    const keepers = new Set<NodeAddress>();
    this.#groups.forEach((groups, partition) => {
      const changed = this.#changedNow.has(partition) || this.#changedBefore.has(partition);
      if (!changed && !groups?.owns(this.#self)) return;
      for (const silo of this.silosOf(partition)) keepers.add(silo);
    });
    return keepers;
  }

  /** Everybody in this era has taken in what this silo reported when it began. */
  heardByAll(): void {
    this.#changedBefore.clear();
  }

  /** What this silo owns in the partitions that another one keeps: partition and digest, in turn. */
  digestsFor(silo: NodeAddress): number[] {
    const digests: number[] = [];
    this.#groups.forEach((groups, partition) => {
      const digest = groups?.digest(this.#self) ?? 0;
      if (digest !== 0 && this.silosOf(partition).includes(silo)) digests.push(partition, digest);
    });
    return digests;
  }

  /** The partitions kept here in which another silo owns something else than what is known of it. */
  differing(silo: NodeAddress, digests: readonly number[]): number[] {
    const told = new Map<number, number>();
    for (let i = 0; i + 1 < digests.length; i += 2) told.set(digests[i] as number, digests[i + 1] as number);
    const differing: number[] = [];
    for (let partition = 0; partition < this.#groups.length; partition++) {
      const known = this.#groups[partition]?.digest(silo) ?? 0;
      if (known !== (told.get(partition) ?? 0) && this.isReplica(partition)) differing.push(partition);
    }
    return differing;
  }

  /**
   * This silo's own entries in the partitions asked for, as many as fit; the asker asks again for the rest.
   */
  slices(partitions: readonly unknown[]): [number, Delta][] {
    const slices: [number, Delta][] = [];
    let bytes = 0;
    for (const partition of partitions) {
      if (!this.isPartition(partition)) continue;
      const slice = this.groupsOf(partition).slice(this.#self);
      for (const [, group] of slice.entries) bytes += ENTRY_BYTES + Buffer.byteLength(group);
      if (slices.length > 0 && bytes > LIMITS.controlBytes) break;
      slices.push([partition, slice]);
    }
    return slices;
  }

  /**
   * Takes in what a silo says of its own entries. A lost silo's late words must not bring its members back;
   * those of one that is not known here yet come again by digest.
   */
  take(from: NodeAddress, partition: unknown, body: unknown): Changes | undefined {
    const delta = parseDelta(body);
    if (!delta || delta.owner !== from || !this.isPartition(partition)) return undefined;
    if (!this.#era.present.has(from) || !this.isReplica(partition)) return undefined;
    return this.#changed(this.groupsOf(partition).merge(delta));
  }

  /** A silo itself said that it has nothing of a group up to a dot. */
  retract(partition: number, group: string, silo: NodeAddress, upTo: number): void {
    const changes = this.#groups[partition]?.retract(silo, group, upTo);
    if (changes) this.#changed(changes);
  }

  /** A silo is gone, and its members with it. */
  forget(silo: NodeAddress): void {
    for (const groups of this.#groups) if (groups) this.#changed(groups.forget(silo));
  }

  #changed(changes: Changes): Changes {
    if (changes.joined.length + changes.left.length > 0) this.onChange(changes);
    return changes;
  }
}
