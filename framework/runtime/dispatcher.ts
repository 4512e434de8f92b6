import type { Directory } from '../directory/directory.ts';
import { GrainTypeNotFoundError, OverloadedError } from '../errors.ts';
import type { GrainType } from '../grain/grain-type.ts';
import { type GrainId, typeOf } from '../identity/grain-id.ts';
import type { NodeAddress } from '../identity/silo-address.ts';
import { LIMITS } from '../limits.ts';
import type { Departure } from '../membership/cluster.ts';
import { Call } from '../rpc/call.ts';
import { callItem, ITEM, type Item, isCount, parseCall } from '../rpc/frames.ts';
import type { Node } from '../rpc/node.ts';
import type { Outbound } from '../rpc/outbound.ts';
import { PendingCall } from '../rpc/pending-call.ts';
import type { Activation } from './activation.ts';
import type { Catalog } from './catalog.ts';
import type { Collector } from './collector.ts';
import { Forwards } from './forwards.ts';
import type { Luggage } from './luggage.ts';
import { Moves } from './moves.ts';
import type { ObservedObjects } from './observed.ts';
import { Orders } from './orders.ts';
import type { Placer } from './placer.ts';
import { RemoteReplies } from './remote-replies.ts';
import type { Workers } from './workers.ts';

export interface DispatcherOptions {
  readonly node: Node;
  readonly outbound: Outbound;
  readonly directory: Directory;
  readonly catalog: Catalog;
  readonly workers: Workers;
  readonly observed: ObservedObjects;
  readonly placer: Placer;
  readonly collector: Collector;
  grainType(name: string): GrainType | undefined;
  /** Where the activation is that has won against this one, if one has. */
  winnerOver(activation: Activation): NodeAddress | undefined;
}

/**
 * Gets each call that reaches this silo to the one place where it may run: an activation here, the silo that
 * has one, or the silo that decides for the grain. Only the partition's primary, when the partition is open,
 * creates or orders an activation.
 */
export class Dispatcher {
  readonly #options: DispatcherOptions;
  readonly #node: Node;
  readonly #replies: RemoteReplies;
  readonly #forwards: Forwards;
  readonly #orders: Orders;
  readonly #moves: Moves;

  constructor(options: DispatcherOptions) {
    this.#options = options;
    this.#node = options.node;
    this.#replies = new RemoteReplies(options.node);
    this.#forwards = new Forwards(options.node.clock);
    const activating = {
      ...options,
      activate: (type: GrainType, id: GrainId, partition: number, luggage: Luggage | undefined) =>
        this.#activate(type, id, partition, undefined, luggage),
      dispatch: (call: Call) => this.dispatch(call),
    };
    this.#orders = new Orders(activating);
    this.#moves = new Moves({ ...activating, orders: this.#orders });
  }

  /** Nobody received what was sent with this ticket. */
  undeliverable(to: NodeAddress, ticket: number): void {
    this.#forwards.undeliverable(to, ticket);
  }

  /** Grains that are being activated on another silo, and those that are leaving this one. */
  get waiting(): number {
    return this.#orders.size + this.#moves.size;
  }

  get moves(): Moves {
    return this.#moves;
  }

  /** Calls of other nodes that were passed on just now. */
  get forwarded(): number {
    return this.#forwards.size;
  }

  /** Nothing comes back to this silo any more. */
  stop(): void {
    this.#moves.stop();
    this.#forwards.clear();
    this.#replies.streams.stop();
  }

  /** Takes an item of the data lane that is meant for this silo's grains. False when it is none of these. */
  received(from: NodeAddress, item: Item): boolean {
    switch (item[0]) {
      case ITEM.call:
        this.#receivedCall(from, item);
        return true;
      case ITEM.cancel:
        if (!this.#replies.streams.cancel(from, item[1]))
          this.#atActivations(item[2], (activation) => activation.cancel(from, item[1] as number));
        this.#options.observed.cancel(from, item[1], item[2]);
        return true;
      case ITEM.credit:
        if (!this.#replies.streams.credit(from, item)) this.#node.link.malformed(from);
        return true;
      default:
        return false;
    }
  }

  /** `now`: what the clock said a moment ago, where it was asked anyway. */
  dispatch(call: Call, now = this.#node.clock.now()): void {
    const { directory, catalog } = this.#options;
    if (call.partition < 0) call.partition = directory.partitionOf(call.target);
    if (now >= call.deadline) return this.#expired(call);
    const activation = catalog.find(call.partition, call.target);
    if (activation?.accept(call, now)) return this.#landed(call);
    const type = this.#options.grainType(typeOf(call.target));
    if (type?.workers !== undefined) return this.#options.workers.accept(type, call, now);
    if (type === undefined && this.#options.observed.takes(call, now)) return;
    const primary = directory.primary(call.partition);
    if (primary === undefined) return call.replies.notRun(call);
    if (primary !== this.#node.address) {
      call.notAt = [this.#node.address, directory.lastDot(call.partition)];
      return this.#forward(call, primary);
    }
    if (!directory.isOpen(call.partition)) return this.#hold(call);
    this.#decide(call, type);
  }

  /** This silo is the primary, and the partition is open. */
  #decide(call: Call, type: GrainType | undefined): void {
    const { directory, placer } = this.#options;
    const self = this.#node.address;
    if (call.notAt) {
      const [silo, lastDot] = call.notAt;
      call.notAt = undefined;
      directory.retract(call.partition, call.target, silo, lastDot);
    }
    const ordered = this.#orders.waitingFor(call.target);
    const elsewhere = directory.locate(call.partition, call.target);
    if (elsewhere !== undefined) {
      // The entry came before the answer to the order: those that wait for that go first.
      for (const each of ordered?.splice(0) ?? []) this.dispatch(each);
      return this.#forward(call, elsewhere);
    }
    if (ordered && ordered.length >= LIMITS.mailbox) return this.#tooMany(call);
    if (ordered) return void ordered.push(call);
    let chosen: NodeAddress;
    try {
      chosen = placer.choose(type, call.target, call.partition, call.caller);
    } catch (error) {
      return call.replies.error(call, error);
    }
    if (chosen === self) this.#activate(type as GrainType, call.target, call.partition, call);
    else void this.#orders.give(call.target, call.partition, chosen, [call]);
  }

  /** `call`: the first one. It waits in the mailbox before the start, which may fail at once. */
  #activate(type: GrainType, id: GrainId, partition: number, call?: Call, luggage?: Luggage): void {
    const activation = this.#options.catalog.create(type, id, partition);
    this.#options.collector.add(activation);
    this.#options.directory.created(partition, activation);
    if (call) {
      activation.accept(call, this.#node.clock.recent());
      this.#landed(call);
    }
    activation.start(luggage);
  }

  /** Tells the caller that what was passed on has come here: from now on it may send here directly. */
  #landed(call: Call): void {
    if (call.hops > 0) call.replies.moved(call, this.#node.address);
  }

  /** Calls that wait for another silo go where they belong now. */
  enterEra(departed: readonly Departure[]): void {
    for (const { silo } of departed) this.#replies.streams.lost(silo);
    this.#orders.enterEra();
    this.#moves.wake();
  }

  // ---- other places

  #hold(call: Call): void {
    if (!this.#options.directory.hold(call.partition, () => this.dispatch(call))) this.#tooMany(call);
  }

  #tooMany(call: Call): void {
    const text = `${call.target}: too many calls wait until it is known where the grain is to be activated`;
    call.replies.error(call, new OverloadedError(text, { grain: call.target }));
  }

  #forward(call: Call, to: NodeAddress): void {
    const { outbound } = this.#options;
    const { clock, link, events } = this.#node;
    if (++call.hops > LIMITS.hops) return call.replies.notRun(call);
    if (events.active) events.publish({ type: 'callForwarded', grain: call.target, to });
    if (call instanceof PendingCall) return outbound.sendTo(call, to);
    call.replies.moved(call, to);
    const item = callItem(call, call.deadline - clock.now(), true);
    call.args = []; // they are in the item now, and go with it
    link.send(to, item, this.#forwards.add(to, call));
  }

  #receivedCall(from: NodeAddress, item: Item): void {
    const now = this.#node.clock.now();
    const call = parseCall(item, from, now, this.#replies);
    if (!call) return this.#malformed(from, item);
    if (call.hops > LIMITS.hops) return this.#node.link.malformed(from);
    if (call.stream) this.#replies.streams.add(call);
    this.dispatch(call, now);
  }

  /** A call that names no grain gets an answer if it says who asked; anything else is dropped. */
  #malformed(from: NodeAddress, item: Item): void {
    this.#node.link.malformed(from);
    if (!isCount(item[1])) return;
    const error = new GrainTypeNotFoundError(`'${String(item[2]).slice(0, 80)}' is not a grain id`);
    const call = new Call(from, item[1], '', '', [], 0, this.#replies);
    this.#replies.error(call, error);
  }

  #atActivations(target: unknown, act: (activation: Activation) => void): void {
    const { catalog, directory, workers } = this.#options;
    if (typeof target !== 'string') return;
    const activation = catalog.find(directory.partitionOf(target), target);
    if (activation) act(activation);
    for (const worker of workers.find(target)) act(worker);
  }

  #expired(call: Call): void {
    const { events } = this.#node;
    if (events.active) events.publish({ type: 'callExpired', grain: call.target, method: call.method });
  }
}
