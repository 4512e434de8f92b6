import { hash32 } from '../identity/hash.ts';
import type { NodeAddress } from '../identity/silo-address.ts';

/**
 * Process groups: a replicated map from a group's name to its members, as a value.
 *
 * A delta-state, observed-remove map (Almeida, Shoker, Baquero 2018) in the special case that each entry has
 * one writer, the silo that owns the member. An entry is born with a dot, its owner's next number. A replica
 * remembers which dots of each owner it has seen; a dot that it has seen and does not hold was removed, so no
 * tombstones are kept and a removed member cannot come back. A delta says: of these dots of this owner,
 * exactly these entries live. News of an owner may arrive lost, late, twice or out of order; any slice of the
 * owner's own state repairs all of it. Merging is commutative, associative and idempotent.
 */
export interface Member {
  readonly owner: NodeAddress;
  readonly dot: number;
  /** What the owner says of the member: where an activation is, or which grain has joined. */
  readonly value: MemberValue;
}

export interface MemberValue {
  /** An activation's id, or the id of a grain that joined a user's group. */
  readonly id: string;
  /** When it came to be, in wall-clock milliseconds at its owner. */
  readonly since: number;
}

/** Dots of one owner: all up to `upTo`, and single ones beyond. */
export interface Dots {
  readonly upTo: number;
  readonly beyond: readonly number[];
}

export interface Delta {
  readonly owner: NodeAddress;
  readonly seen: Dots;
  /** Those of the dots in `seen` that live: dot, group, value. */
  readonly entries: readonly (readonly [dot: number, group: string, value: MemberValue])[];
}

export interface Change {
  readonly group: string;
  readonly member: Member;
}

export interface Changes {
  readonly joined: readonly Change[];
  readonly left: readonly Change[];
}

const NO_CHANGES: Changes = Object.freeze({ joined: [], left: [] });
const NO_MEMBERS: ReadonlyMap<string, Member> = new Map();

class SeenDots {
  upTo = 0;
  readonly beyond = new Set<number>();

  has(dot: number): boolean {
    return dot <= this.upTo || this.beyond.has(dot);
  }

  add(dots: Dots): void {
    if (dots.upTo > this.upTo) this.upTo = dots.upTo;
    for (const dot of dots.beyond) if (dot > this.upTo) this.beyond.add(dot);
    for (const dot of this.beyond) if (dot <= this.upTo) this.beyond.delete(dot);
    while (this.beyond.delete(this.upTo + 1)) this.upTo++;
  }
}

/** One replica of the groups of one partition. */
export class ProcessGroups {
  readonly #groups = new Map<string, Map<string, Member>>();
  readonly #owned = new Map<NodeAddress, Map<number, string>>();
  readonly #seen = new Map<NodeAddress, SeenDots>();

  /** How many members there are in all groups. */
  get size(): number {
    let size = 0;
    for (const owned of this.#owned.values()) size += owned.size;
    return size;
  }

  members(group: string): Member[] {
    return [...(this.#groups.get(group) ?? NO_MEMBERS).values()];
  }

  groups(): IterableIterator<string> {
    return this.#groups.keys();
  }

  /** The last dot that `owner` gave here. */
  lastDot(owner: NodeAddress): number {
    return this.#seen.get(owner)?.upTo ?? 0;
  }

  /** The owner adds a member. Only the owner's own replica may be asked. */
  join(owner: NodeAddress, group: string, value: MemberValue): Delta {
    const dot = this.lastDot(owner) + 1;
    const delta: Delta = { owner, seen: { upTo: 0, beyond: [dot] }, entries: [[dot, group, value]] };
    this.merge(delta);
    return delta;
  }

  /** The owner removes its members of a group with this id; undefined when it has none. */
  leave(owner: NodeAddress, group: string, id: string): Delta | undefined {
    const dots = this.members(group)
      .filter((member) => member.owner === owner && member.value.id === id)
      .map((member) => member.dot);
    if (dots.length === 0) return undefined;
    const delta: Delta = { owner, seen: { upTo: 0, beyond: dots }, entries: [] };
    this.merge(delta);
    return delta;
  }

  merge(delta: Delta): Changes {
    const joined: Change[] = [];
    const left: Change[] = [];
    const living = new Set(delta.entries.map(([dot]) => dot));
    for (const [dot, group] of this.#covered(delta.owner, delta.seen)) {
      if (!living.has(dot)) left.push(this.#remove(delta.owner, dot, group));
    }
    const seen = this.#seen.get(delta.owner) ?? new SeenDots();
    this.#seen.set(delta.owner, seen);
    for (const [dot, group, value] of delta.entries) {
      if (seen.has(dot)) continue;
      const member: Member = { owner: delta.owner, dot, value };
      this.#add(group, member);
      joined.push({ group, member });
    }
    seen.add(delta.seen);
    return joined.length + left.length === 0 ? NO_CHANGES : { joined, left };
  }

  /** The owner itself says that of its members of this group none with a dot up to `upTo` lives. */
  retract(owner: NodeAddress, group: string, upTo: number): Changes {
    const dots = this.members(group)
      .filter((member) => member.owner === owner && member.dot <= upTo)
      .map((member) => member.dot);
    return dots.length === 0
      ? NO_CHANGES
      : this.merge({ owner, seen: { upTo: 0, beyond: dots }, entries: [] });
  }

  /** All that this replica holds of one owner, or in one group of it. Complete only at the owner. */
  slice(owner: NodeAddress, only?: string): Delta {
    if (only !== undefined) return this.#part(owner, only);
    const entries: [number, string, MemberValue][] = [];
    for (const [dot, group] of this.#owned.get(owner) ?? []) {
      const member = this.#groups.get(group)?.get(memberKey(owner, dot)) as Member;
      entries.push([dot, group, member.value]);
    }
    const seen = this.#seen.get(owner);
    return { owner, seen: { upTo: seen?.upTo ?? 0, beyond: [...(seen?.beyond ?? [])] }, entries };
  }

  #part(owner: NodeAddress, group: string): Delta {
    const members = this.members(group).filter((member) => member.owner === owner);
    return {
      owner,
      seen: { upTo: 0, beyond: members.map(({ dot }) => dot) },
      entries: members.map(({ dot, value }) => [dot, group, value] as const),
    };
  }

  /** A hash of what lives of one owner: zero when nothing does. */
  digest(owner: NodeAddress): number {
    let sum = 0;
    for (const [dot, group] of this.#owned.get(owner) ?? []) sum = (sum + (hash32(group, dot) | 1)) >>> 0;
    return sum;
  }

  /** Whether anything lives of one owner. */
  owns(owner: NodeAddress): boolean {
    return this.#owned.has(owner);
  }

  owners(): NodeAddress[] {
    return [...this.#owned.keys()];
  }

  /**
   * The owner is lost: its members go with it, and so does what is known of it, so that it can come back and
   * assert them anew.
   */
  forget(owner: NodeAddress): Changes {
    const left: Change[] = [];
    for (const [dot, group] of this.#owned.get(owner) ?? []) left.push(this.#remove(owner, dot, group));
    this.#seen.delete(owner);
    return left.length === 0 ? NO_CHANGES : { joined: [], left };
  }

  /** What lives here of an owner's `dots`. */
  #covered(owner: NodeAddress, dots: Dots): [number, string][] {
    const owned = this.#owned.get(owner);
    if (!owned) return [];
    const covered: [number, string][] = [];
    if (dots.upTo > 0) for (const entry of owned) if (entry[0] <= dots.upTo) covered.push(entry);
    for (const dot of dots.beyond) {
      const group = dot > dots.upTo ? owned.get(dot) : undefined;
      if (group !== undefined) covered.push([dot, group]);
    }
    return covered;
  }

  #add(group: string, member: Member): void {
    const members = this.#groups.get(group) ?? new Map<string, Member>();
    this.#groups.set(group, members);
    members.set(memberKey(member.owner, member.dot), member);
    const owned = this.#owned.get(member.owner) ?? new Map<number, string>();
    this.#owned.set(member.owner, owned);
    owned.set(member.dot, group);
  }

  #remove(owner: NodeAddress, dot: number, group: string): Change {
    const members = this.#groups.get(group) as Map<string, Member>;
    const key = memberKey(owner, dot);
    const member = members.get(key) as Member;
    members.delete(key);
    if (members.size === 0) this.#groups.delete(group);
    const owned = this.#owned.get(owner) as Map<number, string>;
    owned.delete(dot);
    if (owned.size === 0) this.#owned.delete(owner);
    return { group, member };
  }
}

function memberKey(owner: NodeAddress, dot: number): string {
  return `${owner} ${dot}`;
}

/** Reads a delta that came over the wire; undefined when it is not one. */
export function parseDelta(value: unknown): Delta | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { owner, seen, entries } = value as Record<string, unknown>;
  if (typeof owner !== 'string' || typeof seen !== 'object' || seen === null || !Array.isArray(entries))
    return undefined;
  const { upTo, beyond } = seen as Record<string, unknown>;
  if (!isDot(upTo) || !Array.isArray(beyond) || !beyond.every(isDot) || !entries.every(isEntry))
    return undefined;
  // What lives has been seen, once: otherwise it could be removed and come back, or live twice.
  const dots = new Set<number>(entries.map(([dot]) => dot));
  const single = new Set(beyond);
  const seenAll = [...dots].every((dot) => dot > 0 && (dot <= upTo || single.has(dot)));
  return seenAll && dots.size === entries.length ? (value as Delta) : undefined;
}

function isDot(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isEntry(entry: unknown): boolean {
  if (!Array.isArray(entry) || entry.length !== 3) return false;
  const [dot, group, value] = entry as unknown[];
  if (!isDot(dot) || typeof group !== 'string' || typeof value !== 'object' || value === null) return false;
  const { id, since } = value as Record<string, unknown>;
  return typeof id === 'string' && Number.isFinite(since);
}

/** Users' groups live in the same structure under names that no grain id can have. */
export function userGroup(name: string): string {
  return `@${name}`;
}

export function isUserGroup(group: string): boolean {
  return group.startsWith('@');
}
