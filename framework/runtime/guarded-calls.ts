import type { GrainContext } from '../grain/context.ts';
import type { Grain } from '../grain/grain.ts';
import type { GrainType, MethodSpec } from '../grain/grain-type.ts';
import { type Chain, chainOf, type IncomingCall, type IncomingInterceptor } from '../grain/interceptors.ts';
import { mergeBaggage, readBaggage } from '../rpc/baggage.ts';
import type { Call } from '../rpc/call.ts';
import { CallView } from '../rpc/call-view.ts';
import { iteratorOf } from '../rpc/late-iterator.ts';
import { argumentsOf } from './checked-arguments.ts';
import type { GrainSide } from './grain-side.ts';
import { runKeyed } from './keyed-call.ts';

/** What stands around the calls that run on a silo, by the type of their grain. */
export type IncomingChains = ReadonlyMap<GrainType, Chain<IncomingCall>>;

/** The silo's interceptors and those of each class, put together once; undefined when there are none. */
export function incomingChains(
  ofSilo: readonly IncomingInterceptor[],
  types: Iterable<GrainType>,
): IncomingChains | undefined {
  const chains = new Map<GrainType, Chain<IncomingCall>>();
  for (const type of types) {
    const chain = chainOf([...ofSilo, ...type.interceptors]);
    if (chain) chains.set(type, chain);
  }
  return chains.size === 0 ? undefined : chains;
}

type Method = (...args: readonly unknown[]) => unknown;

/**
 * Runs a call that has schemas or interceptors around it. All of it is the call's turn: an interceptor that
 * waits holds up the calls behind it, and nothing else runs in the grain meanwhile that may not run beside
 * the call.
 */
export function runGuarded(
  call: Call,
  side: GrainSide,
  grain: Grain,
  chains: IncomingChains | undefined,
): unknown {
  const method = (grain as unknown as Record<string, Method>)[(call.spec as MethodSpec).member] as Method;
  const bare = (args: readonly unknown[]) => method.apply(grain, args as unknown[]);
  // Within the interceptors: who asks again with the same key has to pass them again.
  const run =
    call.idempotencyKey === undefined
      ? bare
      : (args: readonly unknown[]) => runKeyed(call, side, () => bare(args));
  const chain = chains?.get(side.type);
  const args = call.checked ?? argumentsOf(call, side);
  if (call.stream) return streamed(call, () => guard(call, side, args, run, chain));
  return guard(call, side, args, run, chain);
}

function guard(
  call: Call,
  side: GrainContext,
  args: readonly unknown[] | Promise<readonly unknown[]>,
  run: (args: readonly unknown[]) => unknown,
  chain: Chain<IncomingCall> | undefined,
): unknown {
  if (args instanceof Promise) return args.then((late) => guard(call, side, late, run, chain));
  return chain ? intercepted(chain, new IncomingView(call, side, args), run) : run(args);
}

/**
 * The turn lasts until both the interceptors and the method have ended: a method that an interceptor does not
 * wait for, or only for some time, would else run beside the calls that follow.
 */
async function intercepted(
  chain: Chain<IncomingCall>,
  view: IncomingView,
  run: (args: readonly unknown[]) => unknown,
): Promise<unknown> {
  let result: unknown;
  try {
    return await chain(view, async () => {
      view.goOn();
      result = run(view.args);
      return result;
    });
  } finally {
    view.end();
    // What comes of it was the interceptors' to look at.
    await Promise.resolve(result).catch(() => {});
  }
}

/** A generator whose items are those of a stream that is yet to come. */
async function* streamed(call: Call, open: () => unknown): AsyncGenerator<unknown> {
  const items = iteratorOf(await open(), `${call.target}.${call.method}`);
  yield* { [Symbol.asyncIterator]: () => items };
}

/** An incoming call as its interceptors see it. */
class IncomingView extends CallView implements IncomingCall {
  readonly direction = 'incoming';
  readonly context: GrainContext;
  readonly #call: Call;
  #request: Readonly<Record<string, unknown>> | undefined;
  #signal: AbortSignal | undefined;
  #started = false;
  #ended = false;

  constructor(call: Call, context: GrainContext, args: readonly unknown[]) {
    super(call.target, call.method, args, call.chain);
    this.#call = call;
    this.context = context;
  }

  /** A call runs once: a second `next()` would run the method again in one turn, on a promise of once. */
  goOn(): void {
    const where = `${this.target}.${this.method}`;
    if (this.#started) throw new TypeError(`${where}: next() was called twice; an incoming call runs once`);
    if (this.#ended)
      throw new TypeError(`${where}: next() was called after the call had been answered; await next()`);
    this.#started = true;
  }

  /** No method runs outside a turn. A generator may still ask for the stream: its items are turns of it. */
  end(): void {
    this.#ended = !this.stream;
  }

  get request(): Readonly<Record<string, unknown>> {
    this.#request ??= readBaggage(this.#call.baggage);
    return this.#request;
  }

  /** Throws `PayloadTooLargeError` and `NotSerializableError`: the grain's own calls carry it on. */
  set request(request: Readonly<Record<string, unknown>>) {
    this.#call.baggage = mergeBaggage(undefined, request);
    this.#request = undefined;
  }

  get signal(): AbortSignal {
    // Once: what a listener of it asks belongs to no turn, so the context would not know which call is meant.
    this.#signal ??= this.context.signal;
    return this.#signal;
  }

  get oneWay(): boolean {
    return this.#call.oneWay;
  }

  get stream(): boolean {
    return this.#call.stream;
  }
}
