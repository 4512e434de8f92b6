import { InvalidConfigError } from '../errors.ts';
import type { GrainId } from '../identity/grain-id.ts';
import type { GrainContext } from './context.ts';

/** A call as an interceptor sees it. */
export interface InterceptedCall {
  /** Whether it is on its way out of this process's program or grain, or about to run in a grain here. */
  readonly direction: 'outgoing' | 'incoming';
  /** The grain that is called, `Type/key`. */
  readonly target: GrainId;
  readonly type: string;
  /** As `Grain.key`. */
  readonly key: string;
  readonly method: string;
  /** What the method is called with. May be replaced, and is the interceptor's to change. */
  args: readonly unknown[];
  /**
   * Baggage: what `context.request` shows to the grain, and to those that it calls. Frozen; to add to it,
   * replace it: `call.request = { ...call.request, user }`.
   */
  request: Readonly<Record<string, unknown>>;
  /**
   * The grain that makes the call; undefined when no grain does, and on the incoming side of a one-way call.
   */
  readonly caller: GrainId | undefined;
  /** Aborted when the call is cancelled, on the incoming side also when it is past its deadline. */
  readonly signal: AbortSignal | undefined;
  readonly oneWay: boolean;
  /** `next()` gives an `AsyncIterable` of the items. */
  readonly stream: boolean;
}

/** A call that is about to run in a grain. */
export interface IncomingCall extends InterceptedCall {
  readonly direction: 'incoming';
  /** The grain's. */
  readonly context: GrainContext;
}

/** A call on its way out. */
export interface InterceptedOutgoingCall extends InterceptedCall {
  readonly direction: 'outgoing';
}

/** Goes on with the call, and gives its result, or of a stream an `AsyncIterable` of its items. */
export type Next = () => Promise<unknown>;

/**
 * Stands around calls: returns the result of `next()`, or another one, or throws. What it throws reaches the
 * caller like what a grain throws.
 */
export type Interceptor<Call extends InterceptedCall = InterceptedCall> = (call: Call, next: Next) => unknown;

/** Around calls that run in grains: part of the turn, so single-threaded like it. */
export type IncomingInterceptor = Interceptor<IncomingCall>;

/** Around calls that are made here. Each `next()` makes the call once more. */
export type OutgoingInterceptor = Interceptor<InterceptedOutgoingCall>;

/** What stands around the calls of a node; the first of each is the outermost. */
export interface Interceptors {
  readonly outgoing: readonly OutgoingInterceptor[];
  readonly incoming: readonly IncomingInterceptor[];
}

/** Several interceptors as one: the first is the outermost. `end` is what the innermost goes on to. */
export type Chain<Call extends InterceptedCall> = (
  call: Call,
  end: () => Promise<unknown>,
) => Promise<unknown>;

/** Undefined when there are none, so that nobody has to ask a chain that does nothing. */
export function chainOf<Call extends InterceptedCall>(
  interceptors: readonly Interceptor<Call>[],
): Chain<Call> | undefined {
  return interceptors.reduceRight<Chain<Call> | undefined>((inner, interceptor) => {
    return async (call, end) => interceptor(call, inner ? () => inner(call, end) : end);
  }, undefined);
}

/** Throws `InvalidConfigError` unless it is a list of functions. */
export function checkInterceptors(where: string, interceptors: unknown): void {
  if (interceptors === undefined) return;
  if (!Array.isArray(interceptors)) {
    throw new InvalidConfigError(`${where} must be a list of functions (call, next) => next()`);
  }
  const wrong = interceptors.findIndex((each) => typeof each !== 'function');
  if (wrong >= 0) {
    throw new InvalidConfigError(`${where}[${wrong}] is no function; pass (call, next) => next()`);
  }
}
