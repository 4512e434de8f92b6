import type { Grain } from './grain.ts';
import type { GrainRef, MethodName } from './reference-types.ts';

/** What has changed in a group since the item before. */
export interface GroupUpdate {
  readonly joined: readonly GrainRef<Grain>[];
  readonly left: readonly GrainRef<Grain>[];
  readonly members: readonly GrainRef<Grain>[];
}

/** Whatever has an id: a reference to a grain, or to an observer. */
export interface GroupMember {
  readonly $id: string;
}

// biome-ignore lint/suspicious/noExplicitAny: `any` is how TypeScript matches a function of any parameters
type ParametersOf<M> = M extends (...args: infer Args) => any ? Args : never;

/** The name of one of the methods of members, and its arguments. */
export type GroupCall<T> = {
  [Name in MethodName<T> & string]: [method: Name, ...args: ParametersOf<T[Name]>];
}[MethodName<T> & string];

/** What silos and grains can do with groups. */
interface AnyGroups {
  members(group: string): Promise<GrainRef<Grain>[]>;
  /**
   * Calls a method of every member that is known here now, one-way: `publish<Player>('online', 'poke', 1)`.
   * Resolves when the calls are sent, to their number; who gets them, and what they lead to, is not told.
   * Rejects when nothing could be sent: with `NotSerializableError` say, or as `members` does.
   */
  publish<T extends object>(group: string, ...call: GroupCall<T>): Promise<number>;
  publish(group: string, method: string, ...args: unknown[]): Promise<number>;
}

/**
 * Process groups: named sets of grains, replicated in the cluster. A member belongs to the silo that it
 * joined on and leaves with it, also when that silo crashes. In a split each side sees its own; after it, all
 * see the same.
 */
export interface Groups extends AnyGroups {
  /** Adds a grain. Resolves when every replica that can be reached knows; joining again changes nothing. */
  join(group: string, member: GroupMember): Promise<void>;
  /** Removes a grain that joined on this silo. */
  leave(group: string, member: GroupMember): Promise<void>;
  /** The membership as it is now, then each change. Leave the loop to stop watching. */
  watch(group: string): AsyncIterableIterator<GroupUpdate>;
}

/** The same groups from within a grain: it joins and leaves itself, unless it names another. */
export interface GrainGroups extends AnyGroups {
  /** On the silo where this activation is. Join in `onActivate`, so that each activation does. */
  join(group: string, member?: GroupMember): Promise<void>;
  /** On the silo where this activation is. Leave in `onDeactivate` what was joined in `onActivate`. */
  leave(group: string, member?: GroupMember): Promise<void>;
}
