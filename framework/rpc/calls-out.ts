import type { OutgoingCall } from '../grain/reference.ts';
import { aboutGrain } from './about-grain.ts';
import { takeArguments } from './arguments.ts';
import type { CallOrigin } from './outbound.ts';

/** Where calls go that are made here: straight out, or past interceptors first. */
export interface CallsOut {
  invoke(call: OutgoingCall, origin: CallOrigin): Promise<unknown>;
  stream(call: OutgoingCall, origin: CallOrigin): AsyncIterableIterator<unknown>;
  invokeOrStream(call: OutgoingCall, origin: CallOrigin): Promise<unknown> & AsyncIterable<unknown>;
  /** The wall clock of this node. */
  now(): number;
}

/**
 * A call of a method that is not known to be a stream or not: made at the end of the tick, when it shows how
 * its result is used. The arguments are taken now: the caller may change them before the tick ends.
 */
export function invokeOrStream(
  out: Pick<CallsOut, 'invoke' | 'stream'>,
  outgoing: OutgoingCall,
  origin: CallOrigin,
): Promise<unknown> & AsyncIterable<unknown> {
  let stream = false;
  let refused: unknown;
  const args = takeArguments(outgoing.args, (error) => {
    refused = aboutGrain(error, outgoing.target);
  });
  const promise = new Promise((resolve, reject) => {
    queueMicrotask(() => {
      if (stream) return;
      if (args) out.invoke({ ...outgoing, args }, origin).then(resolve, reject);
      else reject(refused);
    });
  });
  return Object.assign(promise, {
    [Symbol.asyncIterator]: () => {
      stream = true;
      return out.stream({ ...outgoing, args: args ?? outgoing.args }, origin);
    },
  });
}
