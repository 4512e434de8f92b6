import { DeadlockError } from '../errors.ts';
import { type Call, grainOf } from '../rpc/call.ts';
import type { Activation } from './activation.ts';

/** The turn, of those that run, that waits, directly or not, for this very call. */
export function waitingInChain(call: Call, running: readonly Call[]): Call | undefined {
  return running.find((turn) => isIn(call.chain, turn));
}

function isIn(chain: readonly string[], { link }: Call): boolean {
  return link !== undefined && chain.includes(link);
}

/** Whether other calls have to wait for the end of a turn. */
function holdsUpOthers(turn: Call): boolean {
  return turn.mode !== 'interleave';
}

/**
 * The turns that a waiting call waits for. In an activation that ends these are all, unless one of them waits
 * for the call: others are for the next activation.
 */
export function holdersUpOf(call: Call, { state, running }: Activation): readonly Call[] {
  if (state === 'deactivating' && !waitingInChain(call, running)) return running;
  return running.filter(holdsUpOthers);
}

/** The error of a call that can never run, since a turn that it would have to wait for waits for it. */
export function deadlockOf(call: Call, running: readonly Call[]): DeadlockError | undefined {
  if (call.mode === 'interleave') return undefined;
  const waiting = running.find((turn) => holdsUpOthers(turn) && isIn(call.chain, turn));
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
