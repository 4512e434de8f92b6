import { InvalidConfigError, MethodNotFoundError, ObserverGoneError, OverloadedError } from '../errors.ts';
import type { Observation } from '../grain/observer-types.ts';
import { type Caller, isMethodName, Reference } from '../grain/reference.ts';
import type { GrainId } from '../identity/grain-id.ts';
import { isObserverId, observerId } from '../identity/observer-id.ts';
import type { NodeAddress } from '../identity/silo-address.ts';
import { LIMITS } from '../limits.ts';
import type { Call } from '../rpc/call.ts';
import { ITEM, type Item, parseCall } from '../rpc/frames.ts';
import type { Node } from '../rpc/node.ts';
import { referenceTo } from '../rpc/reference-codec.ts';
import { unpack } from '../serialization/codec.ts';
import { Mailbox } from './mailbox.ts';
import { RemoteReplies } from './remote-replies.ts';

/** One object that can be called from elsewhere. */
interface Observed {
  readonly id: GrainId;
  readonly object: object;
  readonly mailbox: Mailbox<Call>;
  /** Its calls are being run, one after the other. */
  working: boolean;
  running: Call | undefined;
}

type Method = (...args: readonly unknown[]) => unknown;

/**
 * The objects of this node's program that grains may call. Calls of one object run one at a time, in the
 * order in which they came, as those of a grain do; what waits is bounded. To the events each is like an
 * activation, so whoever checks turns checks these too.
 */
export class ObservedObjects {
  readonly #node: Node;
  /** Who the references in arguments belong to. */
  readonly #caller: Caller;
  readonly #replies: RemoteReplies;
  readonly #objects = new Map<GrainId, Observed>();
  #last = 0;
  #closed = false;

  constructor(node: Node, caller: Caller) {
    this.#node = node;
    this.#caller = caller;
    this.#replies = new RemoteReplies(node);
  }

  get size(): number {
    return this.#objects.size;
  }

  /** Makes an object callable, under a new name. Throws `InvalidConfigError` when it has no methods. */
  observe<T extends object>(object: T): Observation<T> {
    if (typeof object !== 'object' || object === null || !hasMethods(object)) {
      throw new InvalidConfigError('observe: give an object with methods, { changed(value) { … } } say');
    }
    if (Reference.is(object)) {
      throw new InvalidConfigError('observe: it is a reference already; pass it as it is');
    }
    if (this.#closed) throw new InvalidConfigError('observe: this client, or silo, has stopped');
    const id = observerId(this.#node.address, ++this.#last);
    const mailbox = new Mailbox<Call>(LIMITS.observerCalls);
    this.#objects.set(id, { id, object, mailbox, working: false, running: undefined });
    this.#tellOf(id, true);
    const reference = referenceTo(id, this.#caller);
    Object.defineProperty(reference, Symbol.dispose, { value: () => this.unobserve(reference) });
    return reference as unknown as Observation<T>;
  }

  /** Makes an object of the runtime itself callable, as number 0: whoever knows the node knows its name. */
  serve(object: object): void {
    const id = observerId(this.#node.address, 0);
    const mailbox = new Mailbox<Call>(LIMITS.observerCalls);
    this.#objects.set(id, { id, object, mailbox, working: false, running: undefined });
    this.#tellOf(id, true);
  }

  /** From now on its calls fail, those that wait too; one that runs is answered. False if it was so. */
  unobserve({ $id: id }: { readonly $id: GrainId }): boolean {
    return this.#end(id, 'unobserved');
  }

  /** The node stops. Calls that run fail as well: their answers would not leave any more. */
  close(): void {
    this.#closed = true;
    for (const { id, running } of [...this.#objects.values()]) {
      this.#end(id, 'closed');
      if (running) this.#refuse(running, gone(running, 'closed', 'while it ran'));
    }
  }

  /** Takes an item that came to a node which has no grains, a client. */
  received(from: NodeAddress, item: Item): void {
    if (item[0] === ITEM.cancel) return this.cancel(from, item[1], item[2]);
    const now = this.#node.clock.now();
    const call = parseCall(item, from, now, this.#replies);
    if (!call || call.stream || !this.takes(call, now)) this.#node.link.malformed(from);
  }

  /** Takes a call; false when it is not of an observer. */
  takes(call: Call, now: number): boolean {
    if (!isObserverId(call.target)) return false;
    const observed = this.#objects.get(call.target);
    if (!observed) this.#refuse(call, gone(call, this.#closed ? 'closed' : 'unobserved'));
    else if (call.stream || !methodOf(observed.object, call.method)) this.#refuse(call, noMethod(call));
    else if (observed.mailbox.full) this.#refuse(call, tooMany(call));
    else this.#enter(observed, call, now);
    return true;
  }

  /** The caller waits no more. */
  cancel(caller: NodeAddress, id: unknown, target: unknown): void {
    const observed = typeof target === 'string' ? this.#objects.get(target) : undefined;
    observed?.mailbox.find((call) => call.caller === caller && call.id === id)?.cancel();
  }

  #enter(observed: Observed, call: Call, now: number): void {
    if (call.oneWay) call.replies.value(call, undefined); // all that its caller learns is that it has arrived
    observed.mailbox.push(call);
    if (!observed.working) void this.#work(observed, now);
  }

  async #work(observed: Observed, arrivedAt: number): Promise<void> {
    observed.working = true;
    let now = arrivedAt;
    for (let call = observed.mailbox.next(); call; call = observed.mailbox.next()) {
      if (call.cancelled || now >= call.deadline) this.#expired(call);
      else await this.#turn(observed, call);
      now = this.#node.clock.now();
    }
    observed.working = false;
    if (this.#objects.get(observed.id) !== observed) this.#tellOf(observed.id, false);
  }

  async #turn(observed: Observed, call: Call): Promise<void> {
    observed.running = call;
    observed.mailbox.started(call);
    this.#tellTurn('turnStarted', call);
    let settle: () => void;
    try {
      const value = await this.#invoke(observed.object, call);
      settle = () => !call.oneWay && call.replies.value(call, value);
    } catch (error) {
      settle = () => this.#failed(call, error);
    }
    observed.running = undefined;
    observed.mailbox.ended(call);
    this.#tellTurn('turnEnded', call);
    settle();
  }

  #invoke(object: object, call: Call): unknown {
    call.receiver?.bind(this.#caller);
    const { args } = call;
    const values = args instanceof Uint8Array ? (unpack(args, this.#caller) as unknown[]) : args;
    // Looked up anew: the program may have put another in its place.
    const method = methodOf(object, call.method);
    if (!method) throw noMethod(call);
    return method.apply(object, values as unknown[]);
  }

  #end(id: GrainId, reason: 'unobserved' | 'closed'): boolean {
    const observed = this.#objects.get(id);
    if (!observed) return false;
    this.#objects.delete(id);
    for (const call of observed.mailbox.takeAll()) this.#refuse(call, gone(call, reason));
    if (!observed.working) this.#tellOf(id, false);
    return true;
  }

  /** A call that was not taken. Who made a one-way call hears of nothing but its arrival. */
  #refuse(call: Call, error: Error): void {
    if (call.oneWay) this.#failed(call, error);
    call.replies.error(call, error);
  }

  #failed(call: Call, error: unknown): void {
    if (!call.oneWay) return call.replies.error(call, error);
    const { target: grain, method } = call;
    this.#node.events.publish({ type: 'oneWayFailed', grain, method, error });
  }

  #expired({ target: grain, method }: Call): void {
    const { events } = this.#node;
    if (events.active) events.publish({ type: 'callExpired', grain, method });
  }

  /** The object can be called now, or not any more. */
  #tellOf(id: GrainId, isThere: boolean): void {
    const { events } = this.#node;
    if (!events.active) return;
    const whose = { grain: id, activationId: id };
    if (!isThere) return events.publish({ type: 'activationGone', ...whose, reason: 'requested' });
    events.publish({ type: 'activationCreated', ...whose });
    events.publish({ type: 'activationReady', ...whose });
  }

  #tellTurn(type: 'turnStarted' | 'turnEnded', { target, method, caller, id: callId, mode }: Call): void {
    const { events } = this.#node;
    if (!events.active) return;
    const turn = { grain: target, activationId: target, method, caller, callId, mode };
    events.publish({ type, ...turn, stream: false });
  }
}

/**
 * An object's own method, or that of one of its classes: what every object has, and what accessors give, are
 * none that its program meant for others.
 */
function methodOf(object: object, name: string): Method | undefined {
  if (!isMethodName(name) || name === 'constructor') return undefined;
  for (let at: object | null = object; at && at !== Object.prototype; at = Object.getPrototypeOf(at)) {
    const value: unknown = Object.getOwnPropertyDescriptor(at, name)?.value;
    if (typeof value === 'function') return value as Method;
    if (Object.hasOwn(at, name)) return undefined;
  }
  return undefined;
}

function hasMethods(object: object): boolean {
  for (let at: object | null = object; at && at !== Object.prototype; at = Object.getPrototypeOf(at)) {
    if (Object.getOwnPropertyNames(at).some((name) => methodOf(object, name))) return true;
  }
  return false;
}

function gone(call: Call, reason: 'unobserved' | 'closed', when = ''): ObserverGoneError {
  const { target: grain, method } = call;
  const what = reason === 'closed' ? 'its client, or silo, has stopped' : 'its program observes it no more';
  const text = `${grain}.${method}: ${[what, when].filter(Boolean).join(' ')}; forget the observer`;
  return new ObserverGoneError(text, { grain, reason });
}

function noMethod({ target: grain, method, stream }: Call): MethodNotFoundError {
  const what = stream ? 'an observer has no streams' : 'the object has no method of that name';
  return new MethodNotFoundError(`${grain}.${method}: ${what}`.slice(0, 400), { grain });
}

function tooMany({ target: grain }: Call): OverloadedError {
  const text = `${grain}: ${LIMITS.observerCalls} calls wait already; send fewer, or a summary of many`;
  return new OverloadedError(text, { grain });
}
