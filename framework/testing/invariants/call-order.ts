import type { NodeAddress } from '../../identity/silo-address.ts';
import type { RuntimeEvent } from '../../observability/events.ts';
import { Agenda } from './agenda.ts';
import type { Invariant } from './invariant.ts';
import type { Observation } from './observation.ts';

type Made = Extract<RuntimeEvent, { type: 'callMade' }>;
type TurnStarted = Extract<RuntimeEvent, { type: 'turnStarted' | 'turnEnded' }>;

export interface CallOrderOptions {
  /** How long after a change of the cluster its nodes may still send calls by different ways. */
  readonly calmMs: number;
}

interface MadeCall {
  readonly made: Made;
  readonly at: number;
}

interface Activation {
  readonly node: NodeAddress;
  readonly callers: Map<NodeAddress, number>;
  /** When a call to the grain had last been passed on, before this activation began. */
  readonly detourAt: number;
}

const FORWARDED_GRAINS = 4_000;
/** How long a one-way call may wait for its turn after its arrival; it is not looked at after that. */
const ONE_WAY_MS = 60_000;

/**
 * The end of guarantee 4: calls of one caller to one grain start in the order made, while the grain does not
 * move. Numbers of calls are in the order made, for everything that one node calls. Looked at are calls that
 * queue: interleaving ones overtake by right, and streams take many turns.
 *
 * It is demanded of two calls when both started in one activation and, since the earlier one was made,
 *  - each node's messages to another arrived once and in order,
 *  - the caller did not have to try anything again: what is tried again goes to the end,
 *  - the grain did not become active anew, somewhere, after calls had already gone where it was before: then
 *    it has moved, if only from nowhere,
 *  - and the silos' views did not change, nor shortly before: the grain may stay where it is while the way to
 *    it changes, and calls that are forwarded by different silos may overtake each other.
 */
export class CallOrder implements Invariant {
  readonly name = 'call order';
  readonly #calmMs: number;
  /** Calls that have not started, by caller. */
  readonly #made = new Map<NodeAddress, Map<number, MadeCall>>();
  readonly #forgetting = new Agenda<MadeCall>();
  /** In each activation, the newest call of each caller that has started. */
  readonly #newest = new Map<string, Activation>();
  /** When calls to a grain were passed on last; the latest few thousand grains. */
  readonly #forwardedAt = new Map<string, number>();
  readonly #retriedAt = new Map<NodeAddress, number>();
  #orderedSince = Number.NEGATIVE_INFINITY;
  #changedAt = Number.NEGATIVE_INFINITY;

  constructor({ calmMs }: CallOrderOptions) {
    this.#calmMs = calmMs;
  }

  observe({ at, node, event }: Observation): string | undefined {
    for (const { made } of this.#forgetting.due(at)) this.#forget(made.caller, made.callId);
    switch (event.type) {
      case 'callMade':
        if (!event.stream) this.#add(event, at);
        return undefined;
      case 'callSettled':
        this.#settled(event.caller, event.callId, at);
        return undefined;
      case 'callForwarded':
        this.#forwarded(event.grain, at);
        return undefined;
      case 'activationCreated':
        this.#created(event.activationId, node, event.grain);
        return undefined;
      case 'callRetried':
        this.#retriedAt.set(event.caller, at);
        return undefined;
      case 'turnStarted':
        return event.stream || event.mode === 'interleave' ? undefined : this.#started(event, node);
      case 'activationGone':
        this.#newest.delete(event.activationId);
        return undefined;
      default:
        return this.#worldChanged(at, node, event);
    }
  }

  finish(): readonly string[] {
    return [];
  }

  #worldChanged(at: number, node: NodeAddress, event: Observation['event']): undefined {
    switch (event.type) {
      case 'networkChanged':
        if (!event.ordered) this.#orderedSince = Number.POSITIVE_INFINITY;
        else if (this.#orderedSince === Number.POSITIVE_INFINITY) this.#orderedSince = at;
        return;
      case 'viewChanged':
      case 'agreementChanged':
        this.#changedAt = at;
        return;
      case 'nodeCrashed':
        this.#made.delete(node);
        this.#retriedAt.delete(node);
        this.#forgetActivations(node);
        return;
      case 'siloStopped':
      case 'siloReplaced':
        this.#forgetActivations(node);
    }
  }

  #add(made: Made, at: number): void {
    let calls = this.#made.get(made.caller);
    if (!calls) {
      calls = new Map();
      this.#made.set(made.caller, calls);
    }
    calls.set(made.callId, { made, at });
  }

  #created(activationId: string, node: NodeAddress, grain: string): Activation {
    const detourAt = this.#forwardedAt.get(grain) ?? Number.NEGATIVE_INFINITY;
    const activation = { node, callers: new Map<NodeAddress, number>(), detourAt };
    this.#newest.set(activationId, activation);
    return activation;
  }

  #forwarded(grain: string, at: number): void {
    this.#forwardedAt.delete(grain);
    const [oldest] = this.#forwardedAt.set(grain, at).keys();
    if (this.#forwardedAt.size > FORWARDED_GRAINS) this.#forwardedAt.delete(oldest as string);
  }

  #started(event: TurnStarted, node: NodeAddress): string | undefined {
    const { caller, callId, activationId } = event;
    const activation = this.#newest.get(activationId) ?? this.#created(activationId, node, event.grain);
    const newest = activation.callers.get(caller) ?? 0;
    const madeAt = this.#made.get(caller)?.get(callId)?.at;
    this.#forget(caller, callId);
    if (callId > newest) activation.callers.set(caller, callId);
    // Known no more: it started before, or its caller has given it up.
    if (callId >= newest || madeAt === undefined || madeAt <= activation.detourAt) return undefined;
    if (!this.#isDemanded(caller, madeAt)) return undefined;
    const order = `call ${callId} of ${caller} started after call ${newest}`;
    return `${event.grain}.${event.method} on ${node}: ${order}, which was made after it`;
  }

  #isDemanded(caller: NodeAddress, madeAt: number): boolean {
    const retriedAt = this.#retriedAt.get(caller) ?? Number.NEGATIVE_INFINITY;
    return madeAt >= this.#orderedSince && madeAt > retriedAt && madeAt > this.#changedAt + this.#calmMs;
  }

  #settled(caller: NodeAddress, callId: number, at: number): void {
    const call = this.#made.get(caller)?.get(callId);
    // A one-way call is settled when it has arrived, which may be before its turn.
    if (call?.made.oneWay) this.#forgetting.add(at + ONE_WAY_MS, call);
    else if (call) this.#forget(caller, callId);
  }

  #forget(caller: NodeAddress, callId: number): void {
    const calls = this.#made.get(caller);
    if (calls?.delete(callId) && calls.size === 0) this.#made.delete(caller);
  }

  #forgetActivations(node: NodeAddress): void {
    for (const [id, activation] of this.#newest) if (activation.node === node) this.#newest.delete(id);
  }
}
