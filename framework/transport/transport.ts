import type { NodeAddress } from '../identity/silo-address.ts';

/**
 * The door to the network. A transport moves bytes between the nodes of one cluster; it knows nothing of
 * grains.
 *
 * Delivery is at most once. Messages from one node to another on one lane arrive in the order sent, while
 * both stay connected. Nothing sent while not connected is kept: it is reported as undeliverable at once.
 */
export interface Transport {
  /**
   * Connects one node. Resolves when it can send and will receive; rejects with `InvalidConfigError` or
   * `SiloUnavailableError`.
   */
  open(options: OpenOptions): Promise<Endpoint>;
}

export interface OpenOptions {
  readonly cluster: string;
  readonly address: NodeAddress;
  readonly receiver: Receiver;
}

/**
 * The data lane carries calls, the control lane membership, directory and handoff. They never wait for each
 * other.
 */
export type Lane = 'data' | 'control';

/**
 * What a node does with what arrives. A receiver never throws; calls to it do not overlap, and never happen
 * within a call to the endpoint.
 */
export interface Receiver {
  /**
   * `payload` may be hostile. It is to be read only, and not to be kept long: it may be a view of a larger
   * chunk, and other nodes of this process may have got the same one.
   */
  received(lane: Lane, payload: Uint8Array): void;
  /**
   * Nobody listens at `to`: what was sent with `ticket` has not been, and will not be, received. `to` is
   * undefined for `sendToAnySilo`.
   */
  undeliverable(lane: Lane, to: NodeAddress | undefined, ticket: number): void;
  /** The node lost its connection, or has it back. Both lanes count as one. */
  connectionChanged(connected: boolean): void;
  /** A call through the plain door (docs/protocol.md): JSON text in, JSON text out. Only after `serve()`. */
  plainCall(call: PlainCall): void;
}

export interface PlainCall {
  /** Subject tokens after `granary.<cluster>.call.`: type, key, method; still percent-encoded. */
  readonly tokens: readonly string[];
  readonly payload: Uint8Array;
  respond(payload: Uint8Array): void;
}

export interface Endpoint {
  readonly connected: boolean;
  /** Bytes that one message may have. */
  readonly maxPayloadBytes: number;
  /**
   * How long a silo that finds no other must listen before it may believe that it is alone: the time in which
   * one that starts at the same moment would have been heard.
   */
  readonly discoveryMs: number;
  /**
   * Sends to one node, which may be this one. `payload` must not be changed afterwards. `ticket` (a positive
   * integer) comes back in `undeliverable`.
   */
  send(lane: Lane, to: NodeAddress, payload: Uint8Array, ticket: number): void;
  /** Sends on the control lane to every node of the cluster but this one. */
  broadcast(payload: Uint8Array): void;
  /**
   * Sends on the control lane to one silo, whichever, of those that serve, but not to this one.
   * `undeliverable` when there is none.
   */
  sendToAnySilo(payload: Uint8Array, ticket: number): void;
  /** From now on this node gets its part of `sendToAnySilo` and of plain calls. */
  serve(): void;
  /** Undoes `serve`; what is already on its way may still arrive. */
  unserve(): void;
  /**
   * Resolves when everything sent so far has left this node and everything that this node subscribed to is in
   * force. Rejects with `SiloUnavailableError` when the connection is lost before, and with
   * `InvalidConfigError` when a subscription is refused.
   */
  flush(): Promise<void>;
  /** Stops receiving after what has already arrived, sends what is pending, disconnects. Never rejects. */
  close(): Promise<void>;
}
