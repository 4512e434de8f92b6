import type { GrainType, MethodSpec } from '../grain/grain-type.ts';
import type { Caller, OutgoingCall } from '../grain/reference.ts';
import type { GrainId } from '../identity/grain-id.ts';
import type { NodeAddress } from '../identity/silo-address.ts';
import type { StreamSender } from './stream-sender.ts';

/** Bits that say how a call is to be treated. */
export const FLAGS = Object.freeze({ oneWay: 1, stream: 2, plain: 4 });

/** Arguments as values that nobody else holds, or packed. */
export type Arguments = readonly unknown[] | Uint8Array;

/**
 * Who waits for a call's outcome. A call is answered once; a call whose caller waits no more is answered into
 * the void.
 */
export interface Replies {
  value(call: Call, value: unknown): void;
  error(call: Call, error: unknown): void;
  /** Throws when the value cannot travel. */
  item(call: Call, value: unknown): void;
  /** The call goes on to another silo: its caller should know whom it waits for now. */
  moved(call: Call, to: NodeAddress): void;
  /** The call did not run and cannot go on from here: its caller should find another way. */
  notRun(call: Call): void;
}

export const NO_CHAIN: readonly string[] = Object.freeze([]);

/** The grain in a link of a call chain. */
export function grainOf(link: string): GrainId {
  return link.slice(0, link.indexOf('\n'));
}

/** What a call has for as long as it is a stream, is keyed, was passed on, or the like: most never do. */
class CallExtras {
  /** What it has sent, while it is a stream that another node reads from here. */
  sender: StreamSender | undefined;
  /** What the grain asked for: aborts with the call. */
  signal: AbortSignal | undefined;
  onEnded: (() => void) | undefined;
  /** What is to happen once, however often it is called for. */
  idempotencyKey: string | undefined;
  /**
   * What schemas have made of the arguments, in the activation that has the call; a promise that rejects if
   * they refuse them.
   */
  checked: readonly unknown[] | Promise<readonly unknown[]> | undefined;
  /** What runs instead of a method, in a turn that the runtime itself wants. */
  work: (() => unknown) | undefined;
  /**
   * A silo that the call was sent to by an entry of the directory, and that had nothing: its name and its
   * last dot there.
   */
  notAt: readonly [silo: NodeAddress, lastDot: number] | undefined;
}

/** One call, where it is made and where it runs. */
export class Call {
  caller: NodeAddress;
  /** The caller's number for it. */
  readonly id: number;
  readonly target: GrainId;
  readonly method: string;
  args: Arguments;
  /** On this node's monotonic clock. */
  readonly deadline: number;
  flags = 0;
  /** Turns that wait for this call, the outermost first: `<grain id>\n<turn>`. */
  chain: readonly string[] = NO_CHAIN;
  /** Packed baggage. */
  baggage: Uint8Array | undefined;
  readonly replies: Replies;
  /** Silos that it has passed through. */
  hops = 0;
  /** The grain's partition, once somebody has computed it; -1 before. */
  partition = -1;
  spec: MethodSpec | undefined;
  cancelled = false;
  started = false;
  /** What the activation attaches while it has the call. */
  onCancel: (() => void) | undefined;
  onCredit: ((read: number) => void) | undefined;
  /** What few calls have; made with the first of it. */
  extras: CallExtras | undefined;
  /** How it may run beside others; `exclusive` until the activation has looked at its method. */
  mode: 'exclusive' | 'readOnly' | 'interleave' = 'exclusive';
  /** Names the turn that runs it, in the chains of the calls that it makes; made when it makes the first. */
  link: string | undefined;
  /** Binds the references in its arguments to the activation that runs it, when that is on this silo. */
  receiver: LateCaller | undefined;

  /** What every call has. By position: an object with these in it would be made for each call, and cost. */
  constructor(
    caller: NodeAddress,
    id: number,
    target: GrainId,
    method: string,
    args: Arguments,
    deadline: number,
    replies: Replies,
  ) {
    this.caller = caller;
    this.id = id;
    this.target = target;
    this.method = method;
    this.args = args;
    this.deadline = deadline;
    this.replies = replies;
  }

  get sender(): CallExtras['sender'] {
    return this.extras?.sender;
  }

  set sender(value: CallExtras['sender']) {
    this.#set('sender', value);
  }

  get signal(): CallExtras['signal'] {
    return this.extras?.signal;
  }

  set signal(value: CallExtras['signal']) {
    this.#set('signal', value);
  }

  get onEnded(): CallExtras['onEnded'] {
    return this.extras?.onEnded;
  }

  set onEnded(value: CallExtras['onEnded']) {
    this.#set('onEnded', value);
  }

  get idempotencyKey(): CallExtras['idempotencyKey'] {
    return this.extras?.idempotencyKey;
  }

  set idempotencyKey(value: CallExtras['idempotencyKey']) {
    this.#set('idempotencyKey', value);
  }

  get checked(): CallExtras['checked'] {
    return this.extras?.checked;
  }

  set checked(value: CallExtras['checked']) {
    this.#set('checked', value);
  }

  get work(): CallExtras['work'] {
    return this.extras?.work;
  }

  set work(value: CallExtras['work']) {
    this.#set('work', value);
  }

  get notAt(): CallExtras['notAt'] {
    return this.extras?.notAt;
  }

  set notAt(value: CallExtras['notAt']) {
    this.#set('notAt', value);
  }

  #set<Name extends keyof CallExtras>(name: Name, value: CallExtras[Name]): void {
    if (value === undefined && this.extras === undefined) return;
    this.extras ??= new CallExtras();
    this.extras[name] = value;
  }

  get oneWay(): boolean {
    return (this.flags & FLAGS.oneWay) !== 0;
  }

  get stream(): boolean {
    return (this.flags & FLAGS.stream) !== 0;
  }

  cancel(): void {
    this.cancelled = true;
    this.onCancel?.();
  }
}

/** Stands for the activation that a call will run in, before it is known which that is. */
export class LateCaller implements Caller {
  readonly #before: Caller;
  #activation: Caller | undefined;

  /** `before`: who the references belong to until then. */
  constructor(before: Caller) {
    this.#before = before;
  }

  bind(activation: Caller): void {
    this.#activation = activation;
  }

  grainType(name: string): GrainType | undefined {
    return this.#caller.grainType(name);
  }

  invoke(call: OutgoingCall): Promise<unknown> {
    return this.#caller.invoke(call);
  }

  stream(call: OutgoingCall): AsyncIterableIterator<unknown> {
    return this.#caller.stream(call);
  }

  invokeOrStream(call: OutgoingCall): Promise<unknown> & AsyncIterable<unknown> {
    return this.#caller.invokeOrStream(call);
  }

  now(): number {
    return this.#caller.now();
  }

  get #caller(): Caller {
    return this.#activation ?? this.#before;
  }
}
