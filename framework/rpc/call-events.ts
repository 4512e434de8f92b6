import type { RuntimeEvents } from '../observability/events.ts';
import type { PendingCall } from './pending-call.ts';

/** What a caller tells of its calls. To be asked for only while somebody listens: `events.active`. */
export function publishMade(events: RuntimeEvents, call: PendingCall, now: number): void {
  const { oneWay, stream, deadline, repeatable } = call;
  events.publish({ type: 'callMade', ...named(call), timeoutMs: deadline - now, oneWay, stream, repeatable });
}

export function publishSettled(events: RuntimeEvents, call: PendingCall, error: unknown): void {
  events.publish({ type: 'callSettled', ...named(call), error });
}

export function publishRetried(events: RuntimeEvents, call: PendingCall, reason: string): void {
  events.publish({ type: 'callRetried', ...named(call), reason });
}

/** Its caller wants a call that failed to be made again, as a call of its own. */
export function publishMadeAgain(events: RuntimeEvents, call: PendingCall, error: unknown): void {
  const reason = error instanceof Error ? error.message : String(error);
  events.publish({ type: 'callRetried', ...named(call), reason, error });
}

function named({ target, method, caller, id }: PendingCall) {
  return { grain: target, method, caller, callId: id };
}
