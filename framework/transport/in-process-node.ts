import { assert, SiloUnavailableError } from '../errors.ts';
import { type NodeAddress, nodeName } from '../identity/silo-address.ts';
import type { Clock } from '../system/clock.ts';
import { DeliveryQueue } from './delivery-queue.ts';
import type { Endpoint, Lane, Receiver } from './transport.ts';

/**
 * What the nodes of an in-process network share: the queue of what is under way, and where the cables are
 * cut.
 */
export class Wire {
  readonly queue: DeliveryQueue;
  readonly maxPayloadBytes: number;
  #cuts: [Set<string>, Set<string>][] = [];

  constructor(clock: Clock, maxPayloadBytes: number) {
    this.queue = new DeliveryQueue(clock);
    this.maxPayloadBytes = maxPayloadBytes;
  }

  cut(groupA: readonly string[], groupB: readonly string[]): void {
    this.#cuts.push([new Set(groupA), new Set(groupB)]);
  }

  mend(): void {
    this.#cuts = [];
  }

  isCut(from: NodeAddress, to: NodeAddress): boolean {
    return this.#cuts.some(([a, b]) => (holds(a, from) && holds(b, to)) || (holds(b, from) && holds(a, to)));
  }
}

function holds(group: ReadonlySet<string>, address: NodeAddress): boolean {
  return group.has(address) || group.has(nodeName(address));
}

/** The nodes that can meet, and whose turn it is among those that serve. */
export class Cluster {
  readonly nodes = new Map<NodeAddress, Node>();
  readonly #serving: Node[] = [];
  #turn = 0;

  named(name: string): Node | undefined {
    for (const [address, node] of this.nodes) if (nodeName(address) === name) return node;
    return undefined;
  }

  serve(node: Node, serves: boolean): void {
    const index = this.#serving.indexOf(node);
    if (serves && index < 0) this.#serving.push(node);
    if (!serves && index >= 0) this.#serving.splice(index, 1);
  }

  /** The next silo in turn that `eligible` lets pass. */
  pick(eligible: (node: Node) => boolean = () => true): Node | undefined {
    const silos = this.#serving.filter((node) => node.connected && eligible(node));
    return silos[this.#turn++ % silos.length];
  }
}

/** Messages that may wait for a paused node. A stopped process has a socket buffer, not endless memory. */
const HELD_MESSAGES = 100_000;

/**
 * One node of a cluster. `vanish` comes from a crash or from `close`: the two differ in what happens before.
 */
export class Node implements Endpoint {
  readonly discoveryMs = 0;
  readonly receiver: Receiver;
  readonly #wire: Wire;
  readonly #cluster: Cluster;
  readonly #address: NodeAddress;
  #connected = true;
  #gone = false;
  /** While paused: what waits, both ways, in the order of the sends. */
  #held: (() => void)[] | undefined;

  constructor(wire: Wire, cluster: Cluster, address: NodeAddress, receiver: Receiver) {
    this.#wire = wire;
    this.#cluster = cluster;
    this.#address = address;
    this.receiver = receiver;
  }

  get connected(): boolean {
    return this.#connected && !this.#gone;
  }

  get maxPayloadBytes(): number {
    return this.#wire.maxPayloadBytes;
  }

  send(lane: Lane, to: NodeAddress, payload: Uint8Array, ticket: number): void {
    this.#post(payload, () => {
      const target = this.#connected ? this.#cluster.nodes.get(to) : undefined;
      if (!target?.connected) return this.#return(lane, to, ticket);
      this.#pass(target, lane, payload);
    });
  }

  broadcast(payload: Uint8Array): void {
    this.#post(payload, () => {
      if (!this.#connected) return;
      for (const node of [...this.#cluster.nodes.values()]) {
        if (node !== this && node.connected) this.#pass(node, 'control', payload);
      }
    });
  }

  sendToAnySilo(payload: Uint8Array, ticket: number): void {
    this.#post(payload, () => {
      const reachable = (node: Node) => node !== this && !this.#wire.isCut(this.#address, node.#address);
      const silo = this.#connected ? this.#cluster.pick(reachable) : undefined;
      if (!silo) return this.#return('control', undefined, ticket);
      this.#pass(silo, 'control', payload);
    });
  }

  serve(): void {
    if (!this.#gone) this.#cluster.serve(this, true);
  }

  unserve(): void {
    this.#cluster.serve(this, false);
  }

  flush(): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.connected) this.#wire.queue.post(resolve);
      else reject(new SiloUnavailableError(`${this.#address}: not connected, so nothing can be flushed`));
    });
  }

  close(): Promise<void> {
    this.unserve();
    return new Promise((resolve) => {
      this.#wire.queue.post(() => {
        this.vanish();
        resolve();
      });
    });
  }

  /** Nothing comes from this node or to it any more; the others are not told. */
  vanish(): void {
    this.#gone = true;
    this.#held = undefined;
    this.unserve();
    this.#cluster.nodes.delete(this.#address);
  }

  pause(): void {
    this.#held ??= [];
  }

  resume(): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    for (const action of held) this.#wire.queue.post(action);
  }

  setConnected(connected: boolean): void {
    if (connected === this.#connected || this.#gone) return;
    this.#connected = connected;
    this.#wire.queue.post(() => this.deliver(() => this.receiver.connectionChanged(connected)));
  }

  /** Calls the receiver, now or when the node is no longer paused. */
  deliver(action: () => void): void {
    if (this.#gone) return;
    if (!this.#held) action();
    else if (this.#held.length < HELD_MESSAGES) this.#held.push(() => this.deliver(action));
  }

  #post(payload: Uint8Array, transmit: () => void): void {
    assert(
      payload.length <= this.maxPayloadBytes,
      `a message of ${payload.length} bytes is over the transport's limit`,
    );
    if (!this.#gone) this.#wire.queue.post(() => this.deliver(transmit));
  }

  #pass(target: Node, lane: Lane, payload: Uint8Array): void {
    if (this.#wire.isCut(this.#address, target.#address)) return;
    target.deliver(() => target.receiver.received(lane, payload));
  }

  #return(lane: Lane, to: NodeAddress | undefined, ticket: number): void {
    this.receiver.undeliverable(lane, to, ticket);
  }
}
