import { AsyncLocalStorage } from 'node:async_hooks';
import type { Call } from '../rpc/call.ts';

/**
 * Which turn a piece of code belongs to, in grains that can run several at once. Where only one can run, the
 * activation knows without this: tracking costs something at every await, so it is switched on by the first
 * grain that needs it.
 */
let storage: AsyncLocalStorage<Call> | undefined;

export function runTurn<T>(call: Call, turn: () => T): T {
  storage ??= new AsyncLocalStorage();
  return storage.run(call, turn);
}

/** The turn that the code which asks belongs to, if it is one of these. */
export function turnOf(running: readonly Call[]): Call | undefined {
  const call = storage?.getStore();
  return call !== undefined && running.includes(call) ? call : undefined;
}
