import type { GroupChange } from './directory/group-watch.ts';
import type { Grain } from './grain/grain.ts';
import type { GrainRef } from './grain/reference-types.ts';
import type { SiloRuntime } from './runtime/silo-runtime.ts';

/** What has changed in a group since the item before. */
export interface GroupUpdate {
  readonly joined: readonly GrainRef<Grain>[];
  readonly left: readonly GrainRef<Grain>[];
  readonly members: readonly GrainRef<Grain>[];
}

/**
 * Process groups: named sets of grains, replicated in the cluster. A member belongs to the silo that it
 * joined on and leaves with it, also when that silo crashes. In a split each side sees its own; after it, all
 * see the same.
 */
export interface Groups {
  /** Adds a grain. Resolves when every replica that can be reached knows; joining again changes nothing. */
  join(group: string, member: { readonly $id: string }): Promise<void>;
  /** Removes a grain that joined on this silo. */
  leave(group: string, member: { readonly $id: string }): Promise<void>;
  members(group: string): Promise<GrainRef<Grain>[]>;
  /** The membership as it is now, then each change. Leave the loop to stop watching. */
  watch(group: string): AsyncIterableIterator<GroupUpdate>;
}

export function groupsOf(runtime: SiloRuntime): Groups {
  const { groups, root } = runtime;
  const references = (ids: readonly string[]) => ids.map((id) => root.reference(id));
  return {
    join: (group, member) => groups.join(group, member.$id),
    leave: (group, member) => groups.leave(group, member.$id),
    members: async (group) => references(await groups.members(group)),
    async *watch(group) {
      for await (const change of groups.watch(group) as AsyncIterable<GroupChange>) {
        yield {
          joined: references(change.joined),
          left: references(change.left),
          members: references(change.members),
        };
      }
    },
  };
}
