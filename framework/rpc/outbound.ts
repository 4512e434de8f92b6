import {
  CallCancelledError,
  CallTimeoutError,
  NoSiloError,
  OverloadedError,
  SiloUnavailableError,
} from '../errors.ts';
import { type Caller, OBSERVER_SPEC, type OutgoingCall } from '../grain/reference.ts';
import { isNodeAddress, type NodeAddress } from '../identity/silo-address.ts';
import { LIMITS } from '../limits.ts';
import type { Cluster } from '../membership/cluster.ts';
import { copy, copyError, pack, unpack } from '../serialization/codec.ts';
import { aboutGrain } from './about-grain.ts';
import { areInline, checkSize, takeArguments } from './arguments.ts';
import { mergeBaggage } from './baggage.ts';
import { FLAGS, LateCaller, type Replies } from './call.ts';
import { publishMade, publishSettled } from './call-events.ts';
import { type CallsOut, invokeOrStream } from './calls-out.ts';
import { DeadlineWheel } from './deadline-wheel.ts';
import { callItem, errorIn, ITEM, type Item } from './frames.ts';
import { Locator } from './locator.ts';
import type { Node } from './node.ts';
import { ObserverCalls } from './observer-calls.ts';
import { OpenStreams } from './open-streams.ts';
import { type Outcome, PendingCall, PromisedOutcome } from './pending-call.ts';
import { PendingCalls } from './pending-calls.ts';
import { noRetryOfStream, Retries } from './retries.ts';
import { SecondAttempts } from './second-attempts.ts';
import type { WaitingCalls } from './waiting-calls.ts';

export interface OutboundOptions {
  readonly node: Node;
  readonly cluster: Cluster;
  /** Deadline of calls for which nobody chose one, in milliseconds. */
  readonly callTimeoutMs: number;
  /** Takes calls for this node itself, at a moment; a client has none. */
  readonly deliver?: (call: PendingCall, now: number) => void;
}

/** What a call inherits from the turn that makes it. */
export interface CallOrigin {
  readonly chain: readonly string[];
  /** The caller's own deadline: nothing that it waits for may outlive it. */
  readonly deadline: number;
  readonly baggage: Uint8Array | undefined;
  /** Who the references in the result are bound to. */
  readonly binder: Caller;
}

/**
 * Calls that this node has made: finds the silo, keeps the deadline, and settles each call once. The way of a
 * call: `invoke` makes it, `#start` notes that it waits, `#route` hands it to this silo's dispatcher or sends
 * it, and an answer comes back by `value` and `error` from this silo, by `received` from another.
 */
export class Outbound implements Replies, CallsOut {
  readonly #options: OutboundOptions;
  readonly #node: Node;
  readonly #pending = new PendingCalls();
  readonly #wheel: DeadlineWheel<PendingCall>;
  readonly #attempts: SecondAttempts;
  readonly #waiting: WaitingCalls;
  readonly #retries: Retries;
  readonly #streams: OpenStreams;
  readonly #observers: ObserverCalls;
  readonly locator: Locator;
  #stopped = false;

  constructor(options: OutboundOptions) {
    this.#options = options;
    this.#node = options.node;
    this.#wheel = new DeadlineWheel(options.node.clock, (call) => this.#expired(call));
    this.#streams = new OpenStreams(options.node, {
      cancel: (call, error) => this.#cancel(call, error),
      settle: (call, from, error) => {
        this.#learn(call, from);
        if (error) this.#fail(call, error);
        else this.#fulfil(call, undefined);
      },
    });
    this.locator = new Locator(options.cluster);
    this.#attempts = new SecondAttempts({
      ...{ node: options.node, cluster: options.cluster, pending: this.#pending, locator: this.locator },
      route: (call) => this.#route(call, this.#node.clock.now()),
      fail: (call, error) => this.#fail(call, error),
    });
    this.#waiting = this.#attempts.waiting;
    this.#retries = new Retries({
      ...{ node: options.node, callTimeoutMs: options.callTimeoutMs },
      attempt: (outgoing, origin) => {
        const outcome = new PromisedOutcome();
        return { call: this.#make(outgoing, origin, outcome), promise: outcome.promise };
      },
    });
    const fail = (call: PendingCall, error: Error) => this.#fail(call, error);
    this.#observers = new ObserverCalls({ node: options.node, pending: this.#pending, fail });
  }

  /** Calls that a turn has made and waits for. */
  madeBy(link: string): PendingCall[] {
    return this.#pending.oldestFirst().filter(({ chain }) => chain[chain.length - 1] === link);
  }

  /** The wall clock of this node, in milliseconds. */
  now(): number {
    return this.#node.clock.wallNow();
  }

  get stopped(): boolean {
    return this.#stopped;
  }

  /** Calls that wait for an answer. */
  get size(): number {
    return this.#pending.size;
  }

  /** Grains that calls wait to be sent to. */
  get waiting(): number {
    return this.#waiting.size;
  }

  invoke(outgoing: OutgoingCall, origin: CallOrigin): Promise<unknown> {
    const retry = outgoing.options?.retry ?? outgoing.spec?.retry;
    if (retry !== undefined) return this.#retries.invoke(outgoing, origin, retry);
    const outcome = new PromisedOutcome();
    this.#make(outgoing, origin, outcome);
    return outcome.promise;
  }

  #make(outgoing: OutgoingCall, origin: CallOrigin, outcome: PromisedOutcome): PendingCall | undefined {
    const now = this.#node.clock.now();
    const call = this.#create(outgoing, origin, outcome, false, now);
    if (call) {
      if (call.oneWay) outcome.resolve(undefined);
      this.#start(call, outgoing.options?.signal, now);
    }
    return call;
  }

  stream(outgoing: OutgoingCall, origin: CallOrigin): AsyncIterableIterator<unknown> {
    // The arguments are taken now; the call is sent when the first item is asked for.
    let refused: unknown = outgoing.options?.retry && noRetryOfStream(outgoing);
    const args = takeArguments(outgoing.args, (error) => {
      refused = aboutGrain(error, outgoing.target);
    });
    return this.#streams.read(origin.binder, (outcome) => {
      if (!args || refused) return void outcome.reject(refused);
      const now = this.#node.clock.now();
      const call = this.#create({ ...outgoing, args }, origin, outcome, true, now);
      if (call) this.#start(call, outgoing.options?.signal, now);
      return call;
    });
  }

  invokeOrStream(outgoing: OutgoingCall, origin: CallOrigin): Promise<unknown> & AsyncIterable<unknown> {
    return invokeOrStream(this, outgoing, origin);
  }

  // ---- what comes back

  /** Takes an item of the data lane that answers a call. */
  received(from: NodeAddress, item: Item): void {
    if (this.#streams.received(from, item)) return;
    const call = this.#pending.get(item[1]);
    if (!call) return;
    switch (item[0]) {
      case ITEM.value:
        this.#learn(call, from);
        return this.#fulfilPacked(call, item[2]);
      case ITEM.error:
        this.#learn(call, from);
        return this.#fail(call, errorIn(item[2]));
      case ITEM.moved:
        if (isNodeAddress(item[2])) this.#attempts.moved(call, from, item[2], item[3]);
        return;
      case ITEM.notRun:
        return this.#attempts.again(call, `${from} could not run it`);
    }
  }

  value(call: PendingCall, value: unknown): void {
    if (!this.#pending.has(call)) return;
    let taken: unknown;
    try {
      taken = copy(value, 'result', call.binder);
    } catch (error) {
      return this.error(call, error);
    }
    this.#fulfil(call, taken);
  }

  error(call: PendingCall, error: unknown): void {
    if (this.#pending.has(call)) this.#fail(call, copyError(error));
  }

  item(call: PendingCall, value: unknown): void {
    if (this.#pending.has(call)) call.push(copy(value, 'item', call.binder));
  }

  moved(_call: PendingCall, _to: NodeAddress): void {}

  notRun(call: PendingCall): void {
    if (this.#pending.has(call)) this.#attempts.again(call, 'the silo could not run it');
  }

  /**
   * A local call turns out to belong on another silo. So do those that follow: should the grain become active
   * here meanwhile, they must not overtake it.
   */
  sendTo(call: PendingCall, to: NodeAddress): void {
    this.locator.forget(call.target);
    if (this.#pending.has(call)) this.#send(call, to, this.#node.clock.now());
  }

  /** Nobody received what was sent with this ticket. */
  undeliverable(to: NodeAddress, ticket: number): void {
    this.#observers.undeliverable(to);
    this.#attempts.undeliverable(to, ticket);
  }

  /** Fails everything that waits. */
  stop(): void {
    this.#stopped = true;
    this.#retries.stop();
    this.#streams.stop();
    this.#observers.stop();
    for (const call of this.#pending.oldestFirst()) {
      const { target: grain, method } = call;
      const error = new SiloUnavailableError(`${grain}.${method}: this node stopped`, { grain });
      this.#fail(call, error);
    }
  }

  // ---- starting

  /**
   * The grain answered from `from`. Later calls go there directly, but not while earlier ones are still on
   * their way through another silo: they would be overtaken.
   */
  #learn(call: PendingCall, from: NodeAddress): void {
    const { id, target } = call;
    if (this.#locate(call) === from) return;
    if (this.#pending.size > LIMITS.learnScan) return;
    const others = this.#pending.oldestFirst().filter((each) => each.target === target && each.id !== id);
    if (others.every((each) => each.isAheadAt(from))) this.locator.learn(call, from);
  }

  #create(
    outgoing: OutgoingCall,
    origin: CallOrigin,
    outcome: Outcome,
    stream: boolean,
    now: number,
  ): PendingCall | undefined {
    const { spec, options } = outgoing;
    try {
      if (options?.signal?.aborted || this.#stopped || this.#pending.size >= LIMITS.pendingCalls)
        throw this.#refusal(outgoing);
      const ownMs =
        options?.timeoutMs ??
        spec?.timeoutMs ??
        (stream ? LIMITS.callTimeoutMaxMs : this.#options.callTimeoutMs);
      const oneWay = !stream && (options?.oneWay ?? spec?.oneWay ?? false);
      // In whole milliseconds, which V8 keeps in the call itself; a fraction would be an object of its own.
      const own = Math.ceil(now + Math.min(Math.max(ownMs, 1), LIMITS.callTimeoutMaxMs));
      const deadline = oneWay ? own : Math.min(own, origin.deadline);
      const { address } = this.#node;
      const id = this.#pending.nextId();
      const call = new PendingCall(outgoing, address, id, deadline, this, origin.binder, outcome);
      if (oneWay) call.flags = FLAGS.oneWay;
      else call.chain = origin.chain;
      if (stream) call.flags = FLAGS.stream;
      call.baggage = mergeBaggage(origin.baggage, options?.request);
      if (options?.idempotencyKey !== undefined) call.idempotencyKey = options.idempotencyKey;
      this.#takeArguments(call, outgoing.args);
      return call;
    } catch (error) {
      outcome.reject(aboutGrain(error, outgoing.target));
      return undefined;
    }
  }

  /** Why a call is not even tried. */
  #refusal({ target: grain, method, options: { signal } = {} }: OutgoingCall): Error {
    const where = `${grain}.${method}`;
    const options = { grain };
    if (signal?.aborted) {
      const text = `${where}: cancelled before it was sent`;
      return new CallCancelledError(text, { ...options, cause: signal.reason });
    }
    if (this.#stopped) return new SiloUnavailableError(`${where}: this node has stopped`, options);
    const text = `${where}: ${LIMITS.pendingCalls} calls of this node wait for an answer; slow down`;
    return new OverloadedError(text, options);
  }

  /** Arguments belong to the call from here on: copied for this node, packed for another. */
  #takeArguments(call: PendingCall, args: readonly unknown[]): void {
    const keyed = call.extras !== undefined && call.idempotencyKey !== undefined;
    if (areInline(call, args) && !keyed) return;
    // Packed they stay as they came, whatever schemas and interceptors do to them: a key is one call's own.
    if (!keyed && this.#options.deliver !== undefined && this.#locate(call) === this.#node.address) {
      const receiver = new LateCaller(call.binder);
      call.receiver = receiver;
      call.args = args.map((arg, index) => copy(arg, `args[${index}]`, receiver));
    } else {
      const packed = pack(args, 'args');
      checkSize(call, packed);
      call.args = packed;
    }
  }

  #start(call: PendingCall, signal: AbortSignal | undefined, now: number): void {
    this.#pending.add(call);
    this.#wheel.add(call, now);
    if (this.#node.events.active) publishMade(this.#node.events, call, now);
    if (signal) {
      const abort = () =>
        this.#cancel(
          call,
          new CallCancelledError(`${call.target}.${call.method}: cancelled by its caller`, {
            grain: call.target,
            cause: signal.reason,
          }),
        );
      signal.addEventListener('abort', abort, { once: true });
      call.onSettled = () => signal.removeEventListener('abort', abort);
    }
    if (this.#waiting.size === 0 || !this.#waiting.has(call.target)) return this.#route(call, now);
    call.obstacle = 'calls made before it could not be sent';
    this.#waiting.add(call);
  }

  /** Where a call goes: a worker's stays on its silo, an observer's is in its id. */
  #locate(call: PendingCall): NodeAddress | undefined {
    if (call.spec?.worker) {
      if (call.spec === OBSERVER_SPEC) return this.#observers.placeOf(call);
      if (this.#options.deliver) return this.#node.address;
    }
    return this.locator.locate(call);
  }

  #route(call: PendingCall, now: number): void {
    const to = this.#locate(call);
    if (to === undefined) {
      call.obstacle = undefined;
      this.#waiting.add(call);
    } else if (to === this.#node.address && this.#options.deliver) {
      call.progress = 'local';
      call.sentTo = to;
      this.#options.deliver(call, now);
    } else {
      this.#send(call, to, now);
    }
  }

  #send(call: PendingCall, to: NodeAddress, now: number): void {
    try {
      const item = callItem(call, call.deadline - now, call.hops > 0);
      call.progress = 'sent';
      call.sentTo = to;
      call.sentAt = Math.floor(now);
      call.ticket = 0; // until the frame leaves: word of the one before is not about this one
      this.#node.link.send(to, item, call);
    } catch (error) {
      this.#fail(call, error);
    }
  }

  // ---- ending

  #fulfil(call: PendingCall, value: unknown): void {
    if (this.#settle(call, undefined)) call.resolve(value);
  }

  #fulfilPacked(call: PendingCall, value: unknown): void {
    if (!(value instanceof Uint8Array)) return this.#fulfil(call, value);
    let unpacked: unknown;
    try {
      unpacked = unpack(value, call.binder);
    } catch (error) {
      return this.#fail(call, error);
    }
    this.#fulfil(call, unpacked);
  }

  #fail(call: PendingCall, error: unknown): void {
    if (this.#settle(call, error)) call.reject(error);
  }

  /** False when the call has been settled before. */
  #settle(call: PendingCall, error: unknown): boolean {
    if (!this.#pending.remove(call)) return false;
    this.#wheel.remove(call);
    if (this.#waiting.size > 0) this.#waiting.delete(call);
    call.onSettled?.();
    if (this.#node.events.active) publishSettled(this.#node.events, call, error);
    return true;
  }

  #cancel(call: PendingCall, error: Error): void {
    if (!this.#pending.has(call)) return;
    if (call.progress === 'local') call.cancel();
    else if (call.progress === 'sent' && call.sentTo) {
      this.#node.link.send(call.sentTo, [ITEM.cancel, call.id, call.target]);
    }
    this.#fail(call, error);
  }

  #expired(call: PendingCall): void {
    const where = `${call.target}.${call.method}`;
    const grain = call.target;
    if (call.stream) {
      const text = `${where}: the stream did not end by its deadline`;
      return this.#cancel(call, new CallTimeoutError(text, { grain }));
    }
    if (call.progress !== 'notSent') {
      return this.#cancel(
        call,
        new CallTimeoutError(`${where}: no answer by the deadline; the call may have run`, { grain }),
      );
    }
    const error = call.obstacle
      ? new SiloUnavailableError(`${where}: not run, since ${call.obstacle} until the deadline`, { grain })
      : new NoSiloError(`${where}: no silo of the cluster was found until the deadline; start one`, {
          grain,
        });
    this.#cancel(call, error);
  }
}
