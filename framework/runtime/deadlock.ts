import { DeadlockError } from '../errors.ts';
import { type Call, grainOf } from '../rpc/call.ts';

/** The turn, of those that run, that waits, directly or not, for this very call. */
export function waitingInChain(call: Call, running: readonly Call[]): Call | undefined {
  return running.find(({ link }) => link !== undefined && call.chain.includes(link));
}

/** The error of a call that can never run, since a turn that it would have to wait for waits for it. */
export function deadlockOf(call: Call, running: readonly Call[]): DeadlockError | undefined {
  if (call.mode === 'interleave') return undefined;
  const waiting = waitingInChain(call, running);
  if (!waiting || (call.mode === 'readOnly' && waiting.mode === 'readOnly')) return undefined;
  const from = call.chain.indexOf(waiting.link as string);
  return deadlock(call, [...call.chain.slice(from).map(grainOf), call.target]);
}

export function deadlock(call: Call, cycle: readonly string[]): DeadlockError {
  return new DeadlockError(
    `${call.target}.${call.method} can never run: ${cycle.join(' → ')} wait for each other. ` +
      `Do not await the call, mark ${call.method} interleave, or make the class reentrant: 'callChain'`,
    { grain: call.target, cycle },
  );
}
