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

function named({ target, method, caller, id }: PendingCall) {
  return { grain: target, method, caller, callId: id };
}
