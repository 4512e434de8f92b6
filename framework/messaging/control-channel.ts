import { assert, InvalidConfigError, SiloUnavailableError } from '../errors.ts';
import { isNodeAddress, type NodeAddress } from '../identity/silo-address.ts';
import type { RuntimeEvents } from '../observability/events.ts';
import { pack, unpack } from '../serialization/codec.ts';
import type { Clock, Timer } from '../system/clock.ts';
import type { Endpoint } from '../transport/transport.ts';

/**
 * Version of everything that nodes say to each other. Nodes of different versions do not talk; a silo is
 * refused at join.
 */
export const PROTOCOL = 1;

/**
 * Handles one kind of message. What it returns (or resolves to) answers a request; what it throws rejects it.
 */
export type ControlHandler = (from: NodeAddress, body: unknown) => unknown;

interface PendingRequest {
  readonly to: NodeAddress | undefined;
  readonly timer: Timer;
  resolve(body: unknown): void;
  reject(error: Error): void;
}

interface Detour {
  readonly via: NodeAddress;
  readonly until: number;
  /** This node asked for it, so answers are to come the same way. Else it is the other one that asks. */
  readonly asks: boolean;
}

const REPLY = 'reply';
const REFUSAL = 'refusal';
const RELAY = 'relay';
const RELAYED = 'relayed';

/** How long what is for a node that cannot be reached directly goes by way of another, too. */
const DETOUR_MS = 5_000;

/**
 * What nodes say to each other besides calls: membership, directory, handoff. Messages are `[protocol, kind,
 * from, request, body]` on the control lane; `request` is zero unless an answer is wanted. Messages may be
 * lost; whoever sends one has a way to repair that.
 *
 * Two nodes may be unable to reach each other while others reach both. What they have to say to each other
 * then goes by way of a third, too (`detour`): one hop, and the answer takes the same way.
 */
export class ControlChannel {
  readonly #self: NodeAddress;
  readonly #clock: Clock;
  readonly #events: RuntimeEvents;
  readonly #handlers = new Map<string, ControlHandler>();
  readonly #pending = new Map<number, PendingRequest>();
  readonly #detours = new Map<NodeAddress, Detour>();
  #endpoint: Endpoint | undefined;
  #lastTicket = 0;

  /** Called when nobody listens at a node that something was sent to. */
  onUndeliverable: (to: NodeAddress) => void = () => {};

  constructor(self: NodeAddress, clock: Clock, events: RuntimeEvents) {
    this.#self = self;
    this.#clock = clock;
    this.#events = events;
  }

  attach(endpoint: Endpoint): void {
    this.#endpoint = endpoint;
  }

  on(kind: string, handler: ControlHandler): void {
    assert(!this.#handlers.has(kind), `two handlers for control messages of kind '${kind}'`);
    this.#handlers.set(kind, handler);
  }

  send(to: NodeAddress, kind: string, body: unknown): void {
    this.#transmit(to, this.#encode(kind, 0, body));
  }

  /** To one silo, whichever, also one that this node has never heard of. */
  sendToAnySilo(kind: string, body: unknown): void {
    const payload = this.#encode(kind, 0, body);
    if (this.#fits(payload)) this.#endpoint?.sendToAnySilo(payload, ++this.#lastTicket);
  }

  broadcast(kind: string, body: unknown): void {
    const payload = this.#encode(kind, 0, body);
    if (this.#fits(payload)) this.#endpoint?.broadcast(payload);
  }

  /**
   * Asks one node. Rejects with `SiloUnavailableError` when it is not there or says nothing for `timeoutMs`,
   * or with what it threw.
   */
  request(to: NodeAddress, kind: string, body: unknown, timeoutMs: number): Promise<unknown> {
    return this.#ask(to, kind, body, timeoutMs);
  }

  /** Asks one silo, whichever. */
  requestAnySilo(kind: string, body: unknown, timeoutMs: number): Promise<unknown> {
    return this.#ask(undefined, kind, body, timeoutMs);
  }

  /** For a while, what is for `to` goes by way of `via`, too, and what `to` answers comes the same way. */
  detour(to: NodeAddress, via: NodeAddress): void {
    this.#detours.set(to, { via, until: this.#clock.now() + DETOUR_MS, asks: true });
  }

  #detourTo(to: NodeAddress): Detour | undefined {
    const detour = this.#detours.size > 0 ? this.#detours.get(to) : undefined;
    if (!detour || detour.until > this.#clock.now()) return detour;
    this.#detours.delete(to);
    return undefined;
  }

  /** Another node says that it does not hear this one directly. */
  #askedFor(from: NodeAddress, via: NodeAddress): void {
    if (this.#detourTo(from)?.asks) return;
    this.#detours.set(from, { via, until: this.#clock.now() + DETOUR_MS, asks: false });
  }

  /** `via`: who passed it on, if it did not come from its sender directly; `asks`: answer the same way. */
  receive(payload: Uint8Array, via?: NodeAddress, asks = false): void {
    let message: unknown;
    try {
      message = unpack(payload);
    } catch {
      return this.#drop('not a control message');
    }
    if (!Array.isArray(message) || message.length !== 5) return this.#drop('not a control message');
    const [protocol, kind, from, request, body] = message as unknown[];
    if (typeof kind !== 'string' || !isNodeAddress(from) || !Number.isSafeInteger(request)) {
      return this.#drop('malformed envelope');
    }
    if (via !== undefined && asks) this.#askedFor(from, via);
    if ((kind === RELAY || kind === RELAYED) && via === undefined) return this.#passOn(kind, from, body);
    if (kind === REPLY || kind === REFUSAL)
      return this.#settle(protocol, kind, from, request as number, body);
    if (protocol !== PROTOCOL) {
      this.#drop(`protocol ${String(protocol)} from ${from}`);
      if (request !== 0) this.#refuse(from, request as number, protocolMismatch(protocol));
      return;
    }
    this.#handle(kind, from, request as number, body);
  }

  /** The transport found nobody at `to`. */
  undeliverable(to: NodeAddress | undefined, ticket: number): void {
    const pending = this.#pending.get(ticket);
    if (pending && !(to && this.#detourTo(to))) {
      this.#forget(ticket, pending);
      pending.reject(
        new SiloUnavailableError(to ? `nobody listens at ${to}` : 'no silo of the cluster is running'),
      );
    }
    if (to) this.onUndeliverable(to);
  }

  close(): void {
    for (const [ticket, pending] of this.#pending) {
      this.#forget(ticket, pending);
      pending.reject(new SiloUnavailableError('this node is stopping'));
    }
    this.#endpoint = undefined;
  }

  #ask(to: NodeAddress | undefined, kind: string, body: unknown, timeoutMs: number): Promise<unknown> {
    const endpoint = this.#endpoint;
    if (!endpoint) return Promise.reject(new SiloUnavailableError('this node is stopping'));
    const ticket = ++this.#lastTicket;
    const payload = this.#encode(kind, ticket, body);
    if (!this.#fits(payload)) {
      return Promise.reject(new SiloUnavailableError(`the question '${kind}' is larger than one message`));
    }
    return new Promise((resolve, reject) => {
      const timer = this.#clock.after(timeoutMs, () => {
        this.#pending.delete(ticket);
        reject(
          new SiloUnavailableError(
            `${to ?? 'the silo that was asked'} said nothing for ${timeoutMs} ms ('${kind}')`,
          ),
        );
      });
      this.#pending.set(ticket, { to, timer, resolve, reject });
      if (to === undefined) endpoint.sendToAnySilo(payload, ticket);
      else this.#emit(to, payload, ticket);
    });
  }

  #handle(kind: string, from: NodeAddress, request: number, body: unknown): void {
    if (this.#handlers.size === 0) return; // this node is still being put together
    const handler = this.#handlers.get(kind);
    if (!handler) return this.#drop(`unknown kind '${kind.slice(0, 32)}'`);
    let answer: unknown;
    try {
      answer = handler(from, body);
    } catch (error) {
      if (request === 0) return this.#drop(`'${kind}' from ${from}: ${String(error)}`);
      return this.#refuse(from, request, error);
    }
    if (request === 0) return;
    if (answer instanceof Promise) {
      answer.then(
        (value) => this.#reply(from, request, value),
        (error) => this.#refuse(from, request, error),
      );
    } else {
      this.#reply(from, request, answer);
    }
  }

  #settle(protocol: unknown, kind: string, from: NodeAddress, request: number, body: unknown): void {
    const pending = this.#pending.get(request);
    if (!pending || (pending.to !== undefined && pending.to !== from)) return;
    this.#forget(request, pending);
    if (protocol !== PROTOCOL) pending.reject(protocolMismatch(protocol));
    else if (kind === REFUSAL) pending.reject(new InvalidConfigError(String(body)));
    else pending.resolve(body);
  }

  #forget(ticket: number, pending: PendingRequest): void {
    pending.timer.cancel();
    this.#pending.delete(ticket);
  }

  #reply(to: NodeAddress, request: number, body: unknown): void {
    const payload = this.#encode(REPLY, request, body);
    if (this.#fits(payload)) this.#transmit(to, payload);
    else this.#refuse(to, request, new Error('the answer is larger than one message'));
  }

  #refuse(to: NodeAddress, request: number, error: unknown): void {
    const text = error instanceof Error ? error.message : String(error);
    this.#transmit(to, this.#encode(REFUSAL, request, text));
  }

  #transmit(to: NodeAddress, payload: Uint8Array): void {
    if (this.#fits(payload)) this.#emit(to, payload, ++this.#lastTicket);
  }

  #emit(to: NodeAddress, payload: Uint8Array, ticket: number): void {
    this.#endpoint?.send('control', to, payload, ticket);
    const detour = this.#detourTo(to);
    if (!detour) return;
    const relay = this.#encode(RELAY, 0, [to, payload, detour.asks]);
    if (this.#fits(relay)) this.#endpoint?.send('control', detour.via, relay, ++this.#lastTicket);
  }

  /** Passes on what another node wants to reach a third, or takes in what has been passed on to this one. */
  #passOn(kind: string, from: NodeAddress, body: unknown): void {
    const [first, second, third] = Array.isArray(body) ? (body as unknown[]) : [];
    if (kind === RELAYED && first instanceof Uint8Array) return this.receive(first, from, second === true);
    if (kind === RELAYED || !isNodeAddress(first) || !(second instanceof Uint8Array)) {
      return this.#drop(`malformed '${kind}'`);
    }
    const to = first;
    const relayed = this.#encode(RELAYED, 0, [second, third === true]);
    if (this.#fits(relayed)) this.#endpoint?.send('control', to, relayed, ++this.#lastTicket);
  }

  /** What is too large for one message is dropped, as the network might: it must not end the process. */
  #fits(payload: Uint8Array): boolean {
    const fits = payload.length <= (this.#endpoint?.maxPayloadBytes ?? 0);
    if (!fits && this.#endpoint) this.#drop(`a message of ${payload.length} bytes is too large to send`);
    return fits;
  }

  #encode(kind: string, request: number, body: unknown): Uint8Array {
    return pack([PROTOCOL, kind, this.#self, request, body], kind);
  }

  #drop(reason: string): void {
    this.#events.publish({ type: 'messageDropped', lane: 'control', reason });
  }
}

function protocolMismatch(protocol: unknown): InvalidConfigError {
  return new InvalidConfigError(
    `the cluster speaks protocol ${String(protocol)}, this node speaks ${PROTOCOL}; ` +
      'run the same version of Granary everywhere',
  );
}
