import { InvalidConfigError, OverloadedError } from '../errors.ts';
import type { NodeAddress } from '../identity/silo-address.ts';
import { LIMITS } from '../limits.ts';
import type { Membership } from '../membership/membership.ts';
import type { ControlChannel } from '../messaging/control-channel.ts';
import type { Clock } from '../system/clock.ts';
import type { Directory } from './directory.ts';
import { GroupWatch } from './group-watch.ts';
import { userGroup } from './process-groups.ts';

export interface SiloGroupsOptions {
  readonly clock: Clock;
  readonly control: ControlChannel;
  readonly directory: Directory;
  readonly membership: Membership;
}

/** How long a silo may take to tell who is in a group, and how often it is asked before that fails. */
const ASK_MS = 1_000;

/**
 * Process groups of grain ids. A member belongs to the silo that it joined on, and leaves with it. When
 * `join` or `leave` resolves, every replica of the group that can be reached has it, so `members` shows it on
 * every silo.
 */
export class SiloGroups {
  readonly #options: SiloGroupsOptions;
  readonly #self: NodeAddress;
  readonly #watches = new Set<GroupWatch>();

  constructor(options: SiloGroupsOptions) {
    this.#options = options;
    this.#self = options.membership.address;
    options.control.on('groupMembers', (_from, group) =>
      typeof group === 'string' ? this.#here(group) : [],
    );
    options.directory.onGroupChange((changes) => {
      for (const { group } of [...changes.joined, ...changes.left]) this.#tellWatches(group);
    });
  }

  async join(group: string, id: string): Promise<void> {
    const name = checked(group);
    const { directory, clock } = this.#options;
    await directory.assert(directory.partitionOf(name), (groups) => {
      const mine = groups
        .members(name)
        .some((member) => member.owner === this.#self && member.value.id === id);
      if (mine) return undefined;
      if (groups.slice(this.#self).entries.length >= LIMITS.groupMembers) {
        throw new OverloadedError(
          `group '${group}': this silo has ${LIMITS.groupMembers} members there already`,
        );
      }
      return groups.join(this.#self, name, { id, since: clock.wallNow() });
    });
    this.#tellWatches(name);
  }

  async leave(group: string, id: string): Promise<void> {
    const name = checked(group);
    const { directory } = this.#options;
    await directory.assert(directory.partitionOf(name), (groups) => groups.leave(this.#self, name, id));
    this.#tellWatches(name);
  }

  /**
   * Ids of the members, each once, sorted. Rejects with `SiloUnavailableError` when no replica can be asked.
   */
  async members(group: string): Promise<string[]> {
    const name = checked(group);
    const { directory, control } = this.#options;
    let failure: unknown;
    for (const silo of directory.replicas(directory.partitionOf(name))) {
      if (silo === this.#self) return this.#here(name);
      try {
        return (await control.request(silo, 'groupMembers', name, ASK_MS)) as string[];
      } catch (error) {
        failure = error;
      }
    }
    if (failure) throw failure;
    return [];
  }

  /**
   * Membership of a group as it changes: first what it is now, then each change. Ends when its reader leaves
   * the loop.
   */
  watch(group: string): GroupWatch {
    const name = checked(group);
    const watch = new GroupWatch(
      name,
      this.#options.clock,
      () => this.members(group),
      () => this.#watches.delete(watch),
    );
    this.#watches.add(watch);
    return watch;
  }

  stop(): void {
    for (const watch of this.#watches) void watch.return();
  }

  #here(name: string): string[] {
    const { directory } = this.#options;
    const members = directory.replica(directory.partitionOf(name))?.members(name) ?? [];
    return [...new Set(members.map((member) => member.value.id))].sort();
  }

  #tellWatches(name: string): void {
    for (const watch of this.#watches) if (watch.group === name) watch.look();
  }
}

function checked(group: string): string {
  if (typeof group === 'string' && group.length > 0 && group.length <= LIMITS.keyBytes)
    return userGroup(group);
  throw new InvalidConfigError(`a group's name is a string of 1 to ${LIMITS.keyBytes} characters`);
}
