import type { GroupChange } from '../directory/group-watch.ts';
import type { SiloGroups } from '../directory/silo-groups.ts';
import { InvalidConfigError, MethodNotFoundError } from '../errors.ts';
import type { Grain } from '../grain/grain.ts';
import type { MethodSpec } from '../grain/grain-type.ts';
import type { GroupCall, GroupMember, GroupUpdate } from '../grain/groups.ts';
import { type Caller, isMethodName, OBSERVER_SPEC } from '../grain/reference.ts';
import type { GrainRef } from '../grain/reference-types.ts';
import { type GrainId, isGrainId, typeOf } from '../identity/grain-id.ts';
import { isObserverId } from '../identity/observer-id.ts';
import { referenceTo } from '../rpc/reference-codec.ts';
import { copy } from '../serialization/codec.ts';

/** A silo's process groups as one caller has them: references in them are its own, and so are its calls. */
export class BoundGroups {
  readonly #groups: SiloGroups;
  readonly #caller: Caller;
  readonly #self: GroupMember | undefined;

  /** `self`: the grain that joins and leaves when none is named. */
  constructor(groups: SiloGroups, caller: Caller, self?: GroupMember) {
    this.#groups = groups;
    this.#caller = caller;
    this.#self = self;
  }

  async join(group: string, member: GroupMember | undefined = this.#self): Promise<void> {
    await this.#groups.join(group, idOf(member));
  }

  async leave(group: string, member: GroupMember | undefined = this.#self): Promise<void> {
    await this.#groups.leave(group, idOf(member));
  }

  async members(group: string): Promise<GrainRef<Grain>[]> {
    return this.#references(await this.#groups.members(group));
  }

  async *watch(group: string): AsyncIterableIterator<GroupUpdate> {
    for await (const change of this.#groups.watch(group) as AsyncIterable<GroupChange>) {
      yield {
        joined: this.#references(change.joined),
        left: this.#references(change.left),
        members: this.#references(change.members),
      };
    }
  }

  publish<T extends object>(group: string, ...call: GroupCall<T>): Promise<number>;
  publish(group: string, method: string, ...args: unknown[]): Promise<number>;
  async publish(group: string, method: string, ...given: unknown[]): Promise<number> {
    if (!isMethodName(method) || method === '') {
      throw new MethodNotFoundError(`group '${group}': '${String(method)}' cannot be a method's name`);
    }
    // Taken now: the caller may change them while the members are asked for.
    const args = copy(given, 'args');
    const ids = await this.#groups.members(group);
    const sent = ids.map((target) => this.#send(target, method, args));
    const outcomes = await Promise.allSettled(sent);
    const refused = outcomes.filter((outcome) => outcome.status === 'rejected');
    if (refused[0] && refused.length === outcomes.length) throw refused[0].reason;
    return outcomes.length - refused.length;
  }

  async #send(target: GrainId, method: string, args: readonly unknown[]): Promise<void> {
    const spec = this.#specOf(target, method);
    if (spec?.stream) {
      throw new MethodNotFoundError(`${target}.${method} is a stream, which needs a reader`, {
        grain: target,
      });
    }
    await this.#caller.invoke({ target, method, spec, args, options: { oneWay: true } });
  }

  #references(ids: readonly GrainId[]): GrainRef<Grain>[] {
    return ids.map((id) => referenceTo(id, this.#caller) as unknown as GrainRef<Grain>);
  }

  #specOf(id: GrainId, method: string): MethodSpec | undefined {
    if (isObserverId(id)) return OBSERVER_SPEC;
    return this.#caller.grainType(typeOf(id))?.methods.get(method);
  }
}

function idOf(member: GroupMember | undefined): GrainId {
  const id = member?.$id;
  if (isGrainId(id)) return id;
  throw new InvalidConfigError(`a member of a group is a reference, not ${String(id ?? member)}`);
}
