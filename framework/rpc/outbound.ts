import {
  CallCancelledError,
  CallTimeoutError,
  NoSiloError,
  OverloadedError,
  SiloUnavailableError,
} from '../errors.ts';
import type { Caller, OutgoingCall } from '../grain/reference.ts';
import type { GrainId } from '../identity/grain-id.ts';
import { isNodeAddress, type NodeAddress } from '../identity/silo-address.ts';
import { LIMITS } from '../limits.ts';
import type { Cluster, Departure, Era } from '../membership/cluster.ts';
import { copy, copyError, isInline, pack, unpack } from '../serialization/codec.ts';
import { aboutGrain } from './about-grain.ts';
import { checkSize, checkTexts, takeArguments } from './arguments.ts';
import { mergeBaggage } from './baggage.ts';
import { type CallFields, FLAGS, LateCaller, NO_CHAIN, type Replies } from './call.ts';
import { publishMade, publishRetried, publishSettled } from './call-events.ts';
import { DeadlineWheel } from './deadline-wheel.ts';
import { callItem, errorIn, ITEM, type Item, isCount } from './frames.ts';
import { Locator } from './locator.ts';
import type { Node } from './node.ts';
import { OpenStreams } from './open-streams.ts';
import { CallOutcome, type Outcome, PendingCall } from './pending-call.ts';
import { PendingCalls } from './pending-calls.ts';
import { WaitingCalls } from './waiting-calls.ts';

export interface OutboundOptions {
  readonly node: Node;
  readonly cluster: Cluster;
  /** Deadline of calls for which nobody chose one, in milliseconds. */
  readonly callTimeoutMs: number;
  /** Takes calls for this node itself; a client has none. */
  readonly deliver?: (call: PendingCall) => void;
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

/** How long answers of a silo that left in order may still be on their way. */
const LAST_WORDS_MS = 1_000;
/** How long it may take to hear that nobody received a frame: two round trips, many times over. */
const BOUNCE_MS = 100;

/**
 * Calls that this node has made: finds the silo, keeps the deadline, tries again what is known not to have
 * run, and settles each call once.
 *
 * A call is *not sent* until a frame has left with it, and again when the transport says that nobody received
 * that frame, or a silo says that it could not run it. In that state it is sent again as often as the
 * deadline allows. Once *sent*, the loss of the silo that has it leaves the outcome unknown: then only
 * methods that are read-only or idempotent are tried again.
 */
export class Outbound implements Replies {
  readonly #options: OutboundOptions;
  readonly #node: Node;
  readonly #pending = new PendingCalls();
  readonly #wheel: DeadlineWheel;
  readonly #waiting: WaitingCalls;
  readonly #streams: OpenStreams;
  /** Silos that have nothing more to say. */
  readonly #gone = new Set<NodeAddress>();
  readonly locator: Locator;
  #stopped = false;

  constructor(options: OutboundOptions) {
    this.#options = options;
    this.#node = options.node;
    this.#wheel = new DeadlineWheel(options.node.clock);
    this.#waiting = new WaitingCalls(options.node, (calls) => this.#routeAll(calls));
    this.#streams = new OpenStreams(options.node, {
      cancel: (call, error) => this.#cancel(call, error),
      settle: (call, from, error) => {
        this.#learn(call, from);
        if (error) this.#fail(call, error);
        else this.#fulfil(call, undefined);
      },
    });
    this.locator = new Locator(options.cluster);
    options.cluster.onEra((era, departed) => this.#eraChanged(era, departed));
  }

  /** Calls that a turn has made and waits for. */
  madeBy(link: string): PendingCall[] {
    return this.#pending.oldestFirst().filter(({ chain }) => chain[chain.length - 1] === link);
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
    return new Promise((resolve, reject) => {
      const outcome = new CallOutcome(resolve, reject, (call) => this.expired(call));
      const call = this.#create(outgoing, origin, outcome, false);
      if (!call) return;
      if (call.oneWay) resolve(undefined);
      this.#start(call, outgoing.options?.signal);
    });
  }

  stream(outgoing: OutgoingCall, origin: CallOrigin): AsyncIterableIterator<unknown> {
    // The arguments are taken now; the call is sent when the first item is asked for.
    let refused: unknown;
    const args = takeArguments(outgoing.args, (error) => {
      refused = aboutGrain(error, outgoing.target);
    });
    return this.#streams.read(origin.binder, (outcome) => {
      if (!args) return void outcome.reject(refused);
      const call = this.#create({ ...outgoing, args }, origin, outcome, true);
      if (call) this.#start(call, outgoing.options?.signal);
      return call;
    });
  }

  /**
   * A method that is not known to be a stream or not: sent at the end of the tick, when it shows how its
   * result is used.
   */
  invokeOrStream(outgoing: OutgoingCall, origin: CallOrigin): Promise<unknown> & AsyncIterable<unknown> {
    let stream = false;
    // The arguments are taken now: the caller may change them before the tick ends.
    let refused: unknown;
    const args = takeArguments(outgoing.args, (error) => {
      refused = aboutGrain(error, outgoing.target);
    });
    const promise = new Promise((resolve, reject) => {
      queueMicrotask(() => {
        if (stream) return;
        if (args) this.invoke({ ...outgoing, args }, origin).then(resolve, reject);
        else reject(refused);
      });
    });
    return Object.assign(promise, {
      [Symbol.asyncIterator]: () => {
        stream = true;
        return this.stream({ ...outgoing, args: args ?? outgoing.args }, origin);
      },
    });
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
        return this.#moved(call, from, item[2], item[3]);
      case ITEM.notRun:
        this.locator.forget(call.target);
        return this.#again(call, `${from} could not run it`);
    }
  }

  /**
   * The call was forwarded. Each silo that it passes tells so for itself, the last one that it stays there:
   * the word of a later hop may come first. A silo that this node has not heard of may have joined just now.
   */
  #moved(call: PendingCall, from: NodeAddress, to: unknown, hops: unknown): void {
    if (!isNodeAddress(to) || !isCount(hops) || hops < call.hops) return;
    call.landed = from === to || (call.landed && hops === call.hops);
    if (hops === call.hops) return;
    call.hops = hops;
    call.sentTo = to;
    call.sentAt = this.#node.clock.now();
    if (this.#gone.has(to)) this.#doubt(call, to);
  }

  value(call: PendingCall, value: unknown): void {
    if (!this.#owns(call)) return;
    let taken: unknown;
    try {
      taken = copy(value, 'result', call.binder);
    } catch (error) {
      return this.error(call, error);
    }
    this.#fulfil(call, taken);
  }

  error(call: PendingCall, error: unknown): void {
    if (this.#owns(call)) this.#fail(call, copyError(error));
  }

  item(call: PendingCall, value: unknown): void {
    if (this.#owns(call)) call.push(copy(value, 'item', call.binder));
  }

  moved(_call: PendingCall, _to: NodeAddress): void {}

  notRun(call: PendingCall): void {
    if (this.#owns(call)) this.#again(call, 'the silo could not run it');
  }

  /**
   * A local call turns out to belong on another silo. So do those that follow: should the grain become active
   * here meanwhile, they must not overtake it.
   */
  sendTo(call: PendingCall, to: NodeAddress): void {
    this.locator.forget(call.target);
    if (this.#owns(call)) this.#send(call, to);
  }

  undeliverable(to: NodeAddress, ticket: number): void {
    this.#options.cluster.suspect(to);
    for (const call of this.#pending.oldestFirst()) {
      if (call.sentTo === to && call.ticket === ticket && call.progress === 'sent') {
        this.locator.forget(call.target);
        this.#again(call, `nobody listens at ${to}`);
      }
    }
  }

  /** Fails everything that waits. */
  stop(): void {
    this.#stopped = true;
    this.#streams.stop();
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
  #learn({ id, target }: PendingCall, from: NodeAddress): void {
    if (this.locator.locate(target) === from) return;
    if (this.#pending.size > LIMITS.learnScan) return;
    const others = this.#pending.oldestFirst().filter((call) => call.target === target && call.id !== id);
    if (others.every((call) => call.isAheadAt(from))) this.locator.learn(target, from);
  }

  #create(
    { target, method, spec, args, options }: OutgoingCall,
    origin: CallOrigin,
    outcome: Outcome,
    stream: boolean,
  ): PendingCall | undefined {
    try {
      this.#admit(target, method, options?.signal);
      const ownMs =
        options?.timeoutMs ??
        spec?.timeoutMs ??
        (stream ? LIMITS.callTimeoutMaxMs : this.#options.callTimeoutMs);
      const oneWay = !stream && (options?.oneWay ?? spec?.oneWay ?? false);
      const deadline = this.#node.clock.now() + Math.min(Math.max(ownMs, 1), LIMITS.callTimeoutMaxMs);
      const fields: CallFields = {
        caller: this.#node.address,
        id: this.#pending.nextId(),
        target,
        method,
        args,
        deadline: oneWay ? deadline : Math.min(deadline, origin.deadline),
        flags: (oneWay ? FLAGS.oneWay : 0) | (stream ? FLAGS.stream : 0),
        chain: oneWay ? NO_CHAIN : origin.chain,
        baggage: mergeBaggage(origin.baggage, options?.request),
        replies: this as Replies,
      };
      const call = new PendingCall(fields, origin.binder, outcome);
      call.spec = spec;
      this.#takeArguments(call, args);
      return call;
    } catch (error) {
      outcome.reject(aboutGrain(error, target));
      return undefined;
    }
  }

  #admit(target: GrainId, method: string, signal: AbortSignal | undefined): void {
    const where = `${target}.${method}`;
    const options = { grain: target };
    if (signal?.aborted) {
      const text = `${where}: cancelled before it was sent`;
      throw new CallCancelledError(text, { ...options, cause: signal.reason });
    }
    if (this.#stopped) throw new SiloUnavailableError(`${where}: this node has stopped`, options);
    if (this.#pending.size >= LIMITS.pendingCalls) {
      const text = `${where}: ${LIMITS.pendingCalls} calls of this node wait for an answer; slow down`;
      throw new OverloadedError(text, options);
    }
  }

  /** Arguments belong to the call from here on: copied for this node, packed for another. */
  #takeArguments(call: PendingCall, args: readonly unknown[]): void {
    if (args.every(isInline)) return checkTexts(call, args);
    if (this.#options.deliver !== undefined && this.#locate(call) === this.#node.address) {
      const receiver = new LateCaller(call.binder);
      call.receiver = receiver;
      call.args = args.map((arg, index) => copy(arg, `args[${index}]`, receiver));
    } else {
      const packed = pack(args, 'args');
      checkSize(call, packed);
      call.args = packed;
    }
  }

  #start(call: PendingCall, signal: AbortSignal | undefined): void {
    this.#pending.add(call);
    this.#wheel.add(call);
    if (this.#node.events.active) publishMade(this.#node.events, call, this.#node.clock.now());
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
    if (this.#waiting.size === 0 || !this.#waiting.has(call.target)) return this.#route(call);
    call.obstacle = 'calls made before it could not be sent';
    this.#waiting.add(call);
  }

  /** Where a call goes: a worker's stays on its silo. */
  #locate(call: PendingCall): NodeAddress | undefined {
    if (call.spec?.worker && this.#options.deliver) return this.#node.address;
    return this.locator.locate(call.target);
  }

  #route(call: PendingCall): void {
    const to = this.#locate(call);
    if (to === undefined) {
      call.obstacle = undefined;
      this.#waiting.add(call);
    } else if (to === this.#node.address && this.#options.deliver) {
      call.progress = 'local';
      call.sentTo = to;
      this.#options.deliver(call);
    } else {
      this.#send(call, to);
    }
  }

  #send(call: PendingCall, to: NodeAddress): void {
    try {
      const now = this.#node.clock.now();
      const item = callItem(call, call.deadline - now, call.hops > 0);
      call.progress = 'sent';
      call.sentTo = to;
      call.sentAt = now;
      call.ticket = 0; // until the frame leaves: word of the one before is not about this one
      this.#node.link.send(to, item, call);
    } catch (error) {
      this.#fail(call, error);
    }
  }

  // ---- trying again

  #again(call: PendingCall, reason: string): void {
    const { events } = this.#node;
    call.progress = 'notSent';
    call.hops = 0;
    call.notAt = undefined;
    call.obstacle = reason;
    call.attempts++;
    if (events.active) publishRetried(events, call, reason);
    this.#waiting.addAgain(call);
  }

  #eraChanged(era: Era, departed: readonly Departure[]): void {
    for (const silo of this.#gone) if (era.present.has(silo)) this.#gone.delete(silo);
    for (const { silo, graceful } of departed) {
      if (graceful) this.#node.clock.inBackground(LAST_WORDS_MS, () => this.#lostSilo(silo));
      else this.#lostSilo(silo);
      this.#node.link.forget(silo);
    }
    this.#routeAll(this.#waiting.takeAll());
  }

  #routeAll(calls: readonly PendingCall[]): void {
    for (const call of calls) if (this.#owns(call)) this.#route(call);
  }

  #lostSilo(silo: NodeAddress): void {
    if (this.#options.cluster.era.present.has(silo)) return; // it was leaving, and is there still
    const [oldest] = this.#gone.add(silo);
    if (this.#gone.size > LIMITS.departedSilos) this.#gone.delete(oldest as NodeAddress);
    for (const call of this.#pending.oldestFirst()) {
      if (call.sentTo === silo && call.progress === 'sent') this.#doubt(call, silo);
    }
  }

  /** A silo is gone that has the call; if it went there just now, word may come that nobody received it. */
  #doubt(call: PendingCall, silo: NodeAddress): void {
    const { clock } = this.#node;
    const { sentAt } = call;
    const bounceMs = call.spec?.repeatable ? 0 : sentAt + BOUNCE_MS - clock.now();
    if (bounceMs <= 0) return this.#lost(call, silo);
    clock.inBackground(bounceMs, () => {
      if (this.#owns(call) && call.sentAt === sentAt && call.progress === 'sent') this.#lost(call, silo);
    });
  }

  #lost(call: PendingCall, silo: NodeAddress): void {
    this.locator.forget(call.target);
    if (call.spec?.repeatable && !call.stream) return this.#again(call, `${silo} was lost`);
    const { target: grain, method } = call;
    const text =
      `${grain}.${method}: silo ${silo} was lost before it answered; the call may have run. ` +
      'Mark the method idempotent or readOnly to have it tried again';
    this.#fail(call, new SiloUnavailableError(text, { grain }));
  }

  // ---- ending

  #owns(call: PendingCall): boolean {
    return this.#pending.has(call);
  }

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
    this.#waiting.delete(call);
    call.onSettled?.();
    if (this.#node.events.active) publishSettled(this.#node.events, call, error);
    return true;
  }

  #cancel(call: PendingCall, error: Error): void {
    if (!this.#owns(call)) return;
    if (call.progress === 'local') call.cancel();
    else if (call.progress === 'sent' && call.sentTo) {
      this.#node.link.send(call.sentTo, [ITEM.cancel, call.id, call.target]);
    }
    this.#fail(call, error);
  }

  expired(call: PendingCall): void {
    const where = `${call.target}.${call.method}`;
    const grain = call.target;
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
