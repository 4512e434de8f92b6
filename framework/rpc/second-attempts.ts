import { SiloUnavailableError } from '../errors.ts';
import type { NodeAddress } from '../identity/silo-address.ts';
import { LIMITS } from '../limits.ts';
import type { Cluster, Departure, Era } from '../membership/cluster.ts';
import { publishRetried } from './call-events.ts';
import { isCount } from './frames.ts';
import type { Locator } from './locator.ts';
import type { Node } from './node.ts';
import type { PendingCall } from './pending-call.ts';
import type { PendingCalls } from './pending-calls.ts';
import { WaitingCalls } from './waiting-calls.ts';

export interface SecondAttemptsOptions {
  readonly node: Node;
  readonly cluster: Cluster;
  readonly pending: PendingCalls;
  readonly locator: Locator;
  /** Sends a call as if it were new. */
  readonly route: (call: PendingCall) => void;
  readonly fail: (call: PendingCall, error: Error) => void;
}

/** How long answers of a silo that left in order may still be on their way. */
const LAST_WORDS_MS = 1_000;
/** How long it may take to hear that nobody received a frame: two round trips, many times over. */
const BOUNCE_MS = 100;

/**
 * What happens to calls that did not reach a silo, or whose silo is lost.
 *
 * A call is *not sent* until a frame has left with it, and again when the transport says that nobody received
 * that frame, or a silo says that it could not run it. In that state it is sent again as often as the
 * deadline allows. Once *sent*, the loss of the silo that has it leaves the outcome unknown: then only
 * methods that are read-only or idempotent, and calls with an idempotency key, are tried again.
 */
export class SecondAttempts {
  readonly #options: SecondAttemptsOptions;
  /** Silos that have nothing more to say. */
  readonly #gone = new Set<NodeAddress>();
  readonly waiting: WaitingCalls;

  constructor(options: SecondAttemptsOptions) {
    this.#options = options;
    this.waiting = new WaitingCalls(options.node, (calls) => this.#routeAll(calls));
    options.cluster.onEra((era, departed) => this.#eraChanged(era, departed));
  }

  /** It was surely not run. */
  again(call: PendingCall, reason: string): void {
    const { locator, node } = this.#options;
    locator.forget(call.target);
    call.progress = 'notSent';
    call.hops = 0;
    call.notAt = undefined;
    call.obstacle = reason;
    call.attempts++;
    if (node.events.active) publishRetried(node.events, call, reason);
    this.waiting.addAgain(call);
  }

  /**
   * The call was forwarded. Each silo that it passes tells so for itself, the last one that it stays there:
   * the word of a later hop may come first. A silo that this node has not heard of may have joined just now.
   */
  moved(call: PendingCall, from: NodeAddress, to: NodeAddress, hops: unknown): void {
    if (!isCount(hops) || hops < call.hops) return;
    call.landed = from === to || (call.landed && hops === call.hops);
    if (hops === call.hops) return;
    call.hops = hops;
    call.sentTo = to;
    call.sentAt = Math.floor(this.#options.node.clock.now());
    if (this.#gone.has(to)) this.#doubt(call, to);
  }

  undeliverable(to: NodeAddress, ticket: number): void {
    const { cluster, pending } = this.#options;
    cluster.suspect(to);
    for (const call of pending.oldestFirst()) {
      if (call.sentTo === to && call.ticket === ticket && call.progress === 'sent')
        this.again(call, `nobody listens at ${to}`);
    }
  }

  #eraChanged(era: Era, departed: readonly Departure[]): void {
    const { clock, link } = this.#options.node;
    for (const silo of this.#gone) if (era.present.has(silo)) this.#gone.delete(silo);
    for (const { silo, graceful } of departed) {
      if (graceful) clock.inBackground(LAST_WORDS_MS, () => this.#lostSilo(silo));
      else this.#lostSilo(silo);
      link.forget(silo);
    }
    this.#routeAll(this.waiting.takeAll());
  }

  #routeAll(calls: readonly PendingCall[]): void {
    const { pending, route } = this.#options;
    for (const call of calls) if (pending.has(call)) route(call);
  }

  #lostSilo(silo: NodeAddress): void {
    const { cluster, pending } = this.#options;
    if (cluster.era.present.has(silo)) return; // it was leaving, and is there still
    const [oldest] = this.#gone.add(silo);
    if (this.#gone.size > LIMITS.departedSilos) this.#gone.delete(oldest as NodeAddress);
    for (const call of pending.oldestFirst()) {
      if (call.sentTo === silo && call.progress === 'sent') this.#doubt(call, silo);
    }
  }

  /**
   * A silo is gone that has the call; if it went there just now, word may come that nobody received it. Or
   * that the silo is not gone at all: news of a split that heals come in any order.
   */
  #doubt(call: PendingCall, silo: NodeAddress): void {
    const { node, pending } = this.#options;
    const { sentAt } = call;
    const bounceMs = call.repeatable ? 0 : sentAt + BOUNCE_MS - node.clock.now();
    if (bounceMs <= 0) return this.#lost(call, silo);
    node.clock.inBackground(bounceMs, () => {
      if (!pending.has(call) || call.sentAt !== sentAt || call.progress !== 'sent') return;
      if (this.#gone.has(silo)) this.#lost(call, silo);
    });
  }

  #lost(call: PendingCall, silo: NodeAddress): void {
    if (call.repeatable && !call.stream) return this.again(call, `${silo} was lost`);
    const { target: grain, method } = call;
    this.#options.locator.forget(grain);
    const text =
      `${grain}.${method}: silo ${silo} was lost before it answered; the call may have run. ` +
      'Mark the method idempotent or readOnly, or give an idempotencyKey, to have it tried again';
    this.#options.fail(call, new SiloUnavailableError(text, { grain }));
  }
}
