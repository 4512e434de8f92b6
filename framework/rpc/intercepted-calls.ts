import {
  type Chain,
  chainOf,
  type InterceptedOutgoingCall,
  type OutgoingInterceptor,
} from '../grain/interceptors.ts';
import type { CallOptions } from '../grain/options.ts';
import type { OutgoingCall } from '../grain/reference.ts';
import { aboutGrain } from './about-grain.ts';
import { takeArguments } from './arguments.ts';
import { readBaggage } from './baggage.ts';
import { CallView } from './call-view.ts';
import { type CallsOut, invokeOrStream } from './calls-out.ts';
import { LateIterator } from './late-iterator.ts';
import type { CallOrigin } from './outbound.ts';

/** Where calls go that pass these interceptors first: without any, straight out. */
export function past(interceptors: readonly OutgoingInterceptor[], out: CallsOut): CallsOut {
  const chain = chainOf(interceptors);
  return chain ? new InterceptedCalls(out, chain) : out;
}

/**
 * Calls that pass interceptors before they leave.
 *
 * The arguments are copied when the call is made, as always: an interceptor may take its time, and what the
 * caller does to its objects meanwhile changes nothing. What interceptors make of them is copied or packed
 * again when the call leaves, once for each `next()`.
 *
 * Calls of the runtime itself, whose names begin with `$`, pass unseen: they are nobody's calls.
 */
class InterceptedCalls implements CallsOut {
  readonly #out: CallsOut;
  readonly #chain: Chain<InterceptedOutgoingCall>;

  constructor(out: CallsOut, chain: Chain<InterceptedOutgoingCall>) {
    this.#out = out;
    this.#chain = chain;
  }

  async invoke(outgoing: OutgoingCall, origin: CallOrigin): Promise<unknown> {
    if (outgoing.method.startsWith('$')) return this.#out.invoke(outgoing, origin);
    const call = new OutgoingView(withOwnArguments(outgoing), origin, false);
    return this.#chain(call, async () => this.#out.invoke(call.outgoing, call.origin));
  }

  stream(outgoing: OutgoingCall, origin: CallOrigin): AsyncIterableIterator<unknown> {
    let refused: unknown;
    let own = outgoing;
    try {
      own = withOwnArguments(outgoing);
    } catch (error) {
      refused = error;
    }
    // Like the call itself, its interceptors begin when the first item is asked for.
    return new LateIterator(`${outgoing.target}.${outgoing.method}`, async () => {
      if (refused) throw refused;
      const call = new OutgoingView(own, origin, true);
      return this.#chain(call, async () => this.#out.stream(call.outgoing, call.origin));
    });
  }

  invokeOrStream(outgoing: OutgoingCall, origin: CallOrigin): Promise<unknown> & AsyncIterable<unknown> {
    return invokeOrStream(this, outgoing, origin);
  }

  now(): number {
    return this.#out.now();
  }
}

/** The call with copies of its arguments. Throws `NotSerializableError`. */
function withOwnArguments(outgoing: OutgoingCall): OutgoingCall {
  let refused: unknown;
  const args = takeArguments(outgoing.args, (error) => {
    refused = aboutGrain(error, outgoing.target);
  });
  if (args) return { ...outgoing, args };
  throw refused;
}

/** An outgoing call as its interceptors see it, and what they have made of it. */
class OutgoingView extends CallView implements InterceptedOutgoingCall {
  readonly direction = 'outgoing';
  readonly stream: boolean;
  readonly #call: OutgoingCall;
  readonly #origin: CallOrigin;
  #request: Readonly<Record<string, unknown>> | undefined;
  #replaced = false;

  constructor(call: OutgoingCall, origin: CallOrigin, stream: boolean) {
    super(call.target, call.method, call.args, origin.chain);
    this.#call = call;
    this.#origin = origin;
    this.stream = stream;
  }

  get request(): Readonly<Record<string, unknown>> {
    this.#request ??= Object.freeze({
      ...readBaggage(this.#origin.baggage),
      ...this.#call.options?.request,
    });
    return this.#request;
  }

  set request(request: Readonly<Record<string, unknown>>) {
    this.#request = Object.freeze({ ...request });
    this.#replaced = true;
  }

  get signal(): AbortSignal | undefined {
    return this.#call.options?.signal;
  }

  get oneWay(): boolean {
    const { options, spec } = this.#call;
    return !this.stream && (options?.oneWay ?? spec?.oneWay ?? false);
  }

  /** The call with what has been replaced. */
  get outgoing(): OutgoingCall {
    const { args } = this;
    if (!this.#replaced) return { ...this.#call, args };
    const options: CallOptions = { ...this.#call.options, request: this.request };
    return { ...this.#call, args, options };
  }

  /** All of the baggage is in the call's own, once it has been replaced: what was taken out stays out. */
  get origin(): CallOrigin {
    return this.#replaced ? { ...this.#origin, baggage: undefined } : this.#origin;
  }
}
