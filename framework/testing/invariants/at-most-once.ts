import type { NodeAddress } from '../../identity/silo-address.ts';
import type { RuntimeEvent } from '../../observability/events.ts';
import { Agenda } from './agenda.ts';
import type { Invariant } from './invariant.ts';
import type { Observation } from './observation.ts';

type Made = Extract<RuntimeEvent, { type: 'callMade' }>;
type Retried = Extract<RuntimeEvent, { type: 'callRetried' }>;
type TurnStarted = Extract<RuntimeEvent, { type: 'turnStarted' | 'turnEnded' }>;

export interface AtMostOnceOptions {
  /** How long after its end a call is remembered: longer than any message of it can be on its way. */
  readonly rememberMs: number;
}

interface OnceCall {
  readonly caller: NodeAddress;
  readonly callId: number;
  readonly stream: boolean;
  readonly deadline: number;
  settled: boolean;
  /** The activation that it has run in, and where that is. */
  activationId: string | undefined;
  node: NodeAddress;
}

/**
 * Guarantee 4: a call that is not marked as repeatable starts at most one turn, wherever its copies go. A
 * stream takes a turn for each of its items, all in one activation.
 *
 * A call can start until its deadline, also when its caller has given up; and a copy of it can arrive late.
 * So it is remembered for a while after both.
 */
export class AtMostOnce implements Invariant {
  readonly name = 'at most once';
  readonly #rememberMs: number;
  readonly #calls = new Map<NodeAddress, Map<number, OnceCall>>();
  readonly #forgetting = new Agenda<OnceCall>();

  constructor({ rememberMs }: AtMostOnceOptions) {
    this.#rememberMs = rememberMs;
  }

  observe({ at, node, event }: Observation): string | undefined {
    for (const call of this.#forgetting.due(at)) this.#forget(call);
    switch (event.type) {
      case 'callMade':
        if (!event.repeatable) this.#made(event, at);
        return undefined;
      case 'callSettled': {
        const call = this.#calls.get(event.caller)?.get(event.callId);
        if (call) this.#ended(call, at);
        return undefined;
      }
      case 'turnStarted':
        return this.#started(event, node);
      case 'callRetried':
        return event.error === undefined ? undefined : this.#madeAgain(event);
      case 'nodeCrashed':
        for (const call of this.#calls.get(node)?.values() ?? []) this.#ended(call, at);
        return undefined;
      default:
        return undefined;
    }
  }

  finish(): readonly string[] {
    return [];
  }

  #made({ caller, callId, stream, timeoutMs }: Made, at: number): void {
    let calls = this.#calls.get(caller);
    if (!calls) {
      calls = new Map();
      this.#calls.set(caller, calls);
    }
    const fields = { caller, callId, stream, deadline: at + Math.max(timeoutMs, 0) };
    calls.set(callId, { ...fields, settled: false, activationId: undefined, node: '' });
  }

  #started(event: TurnStarted, node: NodeAddress): string | undefined {
    const call = this.#calls.get(event.caller)?.get(event.callId);
    if (!call) return undefined; // repeatable, or of somebody who tells nothing
    const { activationId: before, node: there } = call;
    call.activationId = event.activationId;
    call.node = node;
    if (before === undefined || (call.stream && before === event.activationId)) return undefined;
    const where = `in activation ${event.activationId} on ${node}, after ${before} on ${there}`;
    return `${event.grain}.${event.method}, call ${call.callId} of ${call.caller}, ran again ${where}`;
  }

  /** As a call of its own, which may run although this one did. */
  #madeAgain({ grain, method, caller, callId }: Retried): string | undefined {
    if (!this.#calls.get(caller)?.has(callId)) return undefined; // repeatable
    return `${grain}.${method}, call ${callId} of ${caller}, may run once, and was made again`;
  }

  /** Nobody sends it again. A stream's deadline may be a day away: it is not waited for. */
  #ended(call: OnceCall, at: number): void {
    if (call.settled) return;
    call.settled = true;
    const lastStart = Math.max(at, Math.min(call.deadline, at + this.#rememberMs));
    this.#forgetting.add(lastStart + this.#rememberMs, call);
  }

  #forget({ caller, callId }: OnceCall): void {
    const calls = this.#calls.get(caller);
    if (calls?.delete(callId) && calls.size === 0) this.#calls.delete(caller);
  }
}
