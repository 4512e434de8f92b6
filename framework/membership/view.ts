import { hash32 } from '../identity/hash.ts';
import { type Labels, labelsProblem, labelsText } from '../identity/labels.ts';
import { type NodeAddress, nodeAddress } from '../identity/silo-address.ts';
import { LIMITS } from '../limits.ts';

/** Where a silo is in its life. It only ever moves to the right. */
export const STATUSES = ['joining', 'active', 'leaving', 'left'] as const;
export type SiloStatus = (typeof STATUSES)[number];

/** What the cluster knows of one silo. */
export interface SiloEntry {
  readonly name: string;
  /** One life of a silo of that name; a later one replaces an earlier one altogether. */
  readonly incarnation: number;
  readonly status: SiloStatus;
  /**
   * Grows when the silo refutes a claim that it is unreachable, or finds that it was away: what it said
   * before is then stale.
   */
  readonly epoch: number;
  /** Somebody who watches it could not reach it in this epoch. */
  readonly unreachable: boolean;
  /** Names of the grain types that it can activate. */
  readonly types: readonly string[];
  readonly labels: Labels;
}

export function addressOf(entry: SiloEntry): NodeAddress {
  return nodeAddress(entry.name, entry.incarnation);
}

/**
 * The cluster as one silo knows it: a CRDT. Two views merge entry by entry: the later incarnation wins;
 * within one, status, epoch and the claim of that epoch each move forward only. Merging is commutative,
 * associative and idempotent, so news may be lost, repeated and reordered, and views that have heard the same
 * agree. The refutable claim is SWIM's suspicion (Das, Gupta, Motivala 2002).
 */
export class View {
  readonly #entries = new Map<string, SiloEntry>();
  /** Sums over the entries, kept up with each change: a large view is not read for a small change. */
  #digest = 0;
  #moments: readonly [number, number] = [0, 0];
  /**
   * How often a silo has come back from an absence, or was there already when it was first heard of. While
   * this stays the same, all who were present were in one cluster, and no grain can have been active beside
   * another activation of it.
   */
  returns = 0;

  get(name: string): SiloEntry | undefined {
    return this.#entries.get(name);
  }

  entries(): SiloEntry[] {
    return [...this.#entries.values()];
  }

  /** Takes in what others know; returns the entries that changed. */
  merge(incoming: readonly SiloEntry[]): SiloEntry[] {
    const changed: SiloEntry[] = [];
    for (const entry of incoming) {
      const merged = join(this.#entries.get(entry.name), entry);
      const known = this.#entries.get(entry.name);
      if (merged === known) continue;
      if (isReturn(known, merged)) this.returns++;
      if (known) this.#count(known, -1);
      this.#entries.set(entry.name, merged);
      this.#count(merged, 1);
      changed.push(merged);
    }
    if (changed.length > 0) this.#forgetDeparted();
    return changed;
  }

  /** A hash of everything in the view: equal digests mean equal views. */
  get digest(): number {
    return this.#digest;
  }

  /** Silos that can be talked to and may hold activations: active or leaving, and reachable. */
  present(): SiloEntry[] {
    return this.entries().filter((e) => !e.unreachable && (e.status === 'active' || e.status === 'leaving'));
  }

  /**
   * Names the moment in the cluster's history that decides who is responsible for what: two silos with the
   * same era have the same ring and wait for the same silos. Statuses and epochs only grow, and those that
   * are not present count too, so an era never comes back: that of two silos before a third came is not that
   * of the same two after it has gone, nor while it is joining anew.
   */
  get era(): string {
    const { length } = this.present();
    if (length === 0) return '';
    return `${length}.${this.#moments.map((sum) => sum.toString(36)).join('.')}`;
  }

  /** Adds an entry to the sums, or takes it out of them. */
  #count(entry: SiloEntry, sign: 1 | -1): void {
    const add = (sum: number, hash: number) => (sum + sign * hash) >>> 0;
    const [one, two] = this.#moments;
    const text = moment(entry);
    this.#digest = add(this.#digest, hash32(fingerprint(entry)));
    this.#moments = [add(one, hash32(text)), add(two, hash32(text, 0x5bd1e995))];
  }

  #forgetDeparted(): void {
    const departed = this.entries().filter((e) => e.status === 'left' || e.unreachable);
    const excess = departed.length - LIMITS.departedSilos;
    if (excess <= 0) return;
    departed.sort((a, b) => a.incarnation - b.incarnation);
    for (const entry of departed.slice(0, excess)) {
      this.#entries.delete(entry.name);
      this.#count(entry, -1);
    }
  }
}

/**
 * A silo that joins in sight is no return; one that turns up in the middle of its life is. So is one that
 * comes back as a later start: how its earlier life ended was not seen, unless it left, and it may have
 * written alone until then.
 */
function isReturn(known: SiloEntry | undefined, merged: SiloEntry): boolean {
  if (known?.incarnation === merged.incarnation) return merged.epoch > known.epoch;
  if (known !== undefined && known.status !== 'left') return true;
  return merged.status === 'active' || merged.status === 'leaving';
}

/** What an era tells apart of one silo: not whether one that is not there yet, or no more, is reachable. */
function moment(entry: SiloEntry): string {
  const { status, epoch, unreachable } = entry;
  if (status === 'joining' || status === 'left') return `${addressOf(entry)} ${status}`;
  return `${addressOf(entry)} ${epoch} ${unreachable ? 'unreachable' : status}`;
}

function fingerprint(entry: SiloEntry): string {
  const { status, epoch, unreachable, types, labels } = entry;
  return `${addressOf(entry)} ${status} ${epoch} ${unreachable} ${types.join(',')} ${labelsText(labels)}`;
}

/** The least entry that knows what both know; `known` itself when `news` brings nothing. */
function join(known: SiloEntry | undefined, news: SiloEntry): SiloEntry {
  if (known === undefined || news.incarnation > known.incarnation) return news;
  if (news.incarnation < known.incarnation) return known;
  const status = STATUSES[
    Math.max(STATUSES.indexOf(known.status), STATUSES.indexOf(news.status))
  ] as SiloStatus;
  const epoch = Math.max(known.epoch, news.epoch);
  const unreachable =
    (known.epoch === epoch && known.unreachable) || (news.epoch === epoch && news.unreachable);
  if (status === known.status && epoch === known.epoch && unreachable === known.unreachable) return known;
  return { ...known, status, epoch, unreachable };
}

/** Reads an entry that came over the wire; undefined when it is not one. */
export function parseEntry(value: unknown): SiloEntry | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { name, incarnation, status, epoch, unreachable, types, labels } = value as Record<string, unknown>;
  if (typeof name !== 'string' || !/^[A-Za-z0-9_-]{1,64}$/.test(name)) return undefined;
  if (!isCount(incarnation) || !isCount(epoch)) return undefined;
  if (!STATUSES.includes(status as SiloStatus) || typeof unreachable !== 'boolean') return undefined;
  if (!Array.isArray(types) || !types.every((type) => typeof type === 'string')) return undefined;
  if (labelsProblem(labels) !== undefined) return undefined;
  return {
    name,
    incarnation,
    status: status as SiloStatus,
    epoch,
    unreachable,
    types,
    labels: labels as Labels,
  };
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

/** Reads entries that came over the wire, leaving out what is not one. */
export function parseEntries(body: unknown): SiloEntry[] {
  if (!Array.isArray(body)) return [];
  return body.map(parseEntry).filter((entry) => entry !== undefined);
}
