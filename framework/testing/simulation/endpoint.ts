import { SiloUnavailableError } from '../../errors.ts';
import type { NodeAddress } from '../../identity/silo-address.ts';
import type { Endpoint, Lane, OpenOptions, Receiver } from '../../transport/transport.ts';
import type { Host } from './host.ts';
import type { SimulatedNetwork } from './network.ts';

/** When the last message to one node arrives, by lane: the next one comes after it. */
interface Last {
  data: number;
  control: number;
}

/** A node of a simulation on its network. */
export class SimulatedEndpoint implements Endpoint {
  readonly host: Host;
  readonly cluster: string;
  readonly address: NodeAddress;
  readonly #network: SimulatedNetwork;
  readonly #receiver: Receiver;
  readonly #lastTo = new Map<NodeAddress, Last>();
  #late: (() => void)[] = [];
  #connected = true;
  #closed = false;
  /** When the last of what is on its way to this node arrives, what is overtaken aside. */
  #lastArrival = 0;
  serves = false;

  constructor(network: SimulatedNetwork, host: Host, { cluster, address, receiver }: OpenOptions) {
    this.#network = network;
    this.host = host;
    this.cluster = cluster;
    this.address = address;
    this.#receiver = receiver;
  }

  /** As its node knows it. */
  get connected(): boolean {
    return this.#connected && !this.#closed;
  }

  get maxPayloadBytes(): number {
    return this.#network.maxPayloadBytes;
  }

  get discoveryMs(): number {
    return this.#network.discoveryMs;
  }

  send(lane: Lane, to: NodeAddress, payload: Uint8Array, ticket: number): void {
    if (this.host.dead || this.#closed) return;
    if (this.host.paused || this.#late.length > 0) {
      return this.#sendLater(() => this.send(lane, to, payload, ticket));
    }
    if (!this.#connected) return this.#bounce(lane, to, ticket);
    this.#transmit(lane, to, payload, ticket);
  }

  /**
   * A story may act for a process that is stopped: what it sends goes out when the process goes on, before
   * what the process sends then.
   */
  #sendLater(send: () => void): void {
    if (this.#late.push(send) > 1) return;
    this.host.arrival(0, () => {
      const late = this.#late;
      this.#late = [];
      for (const each of late) each();
    });
  }

  broadcast(payload: Uint8Array): void {
    if (this.host.dead || !this.connected) return;
    for (const { address, cluster } of this.#network.endpoints.values()) {
      if (cluster === this.cluster && address !== this.address)
        this.#transmit('control', address, payload, 0);
    }
  }

  sendToAnySilo(payload: Uint8Array, ticket: number): void {
    if (this.host.dead || this.#closed) return;
    const silo = this.#connected ? this.#network.anySilo(this) : undefined;
    if (silo) this.#transmit('control', silo.address, payload, 0);
    else this.#bounce('control', undefined, ticket);
  }

  serve(): void {
    this.serves = true;
  }

  unserve(): void {
    this.serves = false;
  }

  flush(): Promise<void> {
    return new Promise((resolve, reject) => {
      const done = () => {
        if (this.connected) resolve();
        else reject(new SiloUnavailableError(`${this.address}: not connected, so nothing can be flushed`));
      };
      this.host.arrival(this.#network.drawRoundTrip(), done);
    });
  }

  /** From when the server knows of it, what is sent here bounces; what was on its way by then arrives. */
  close(): Promise<void> {
    const network = this.#network;
    this.serves = false;
    return new Promise((resolve) => {
      this.host.arrival(network.drawRoundTrip(), () => {
        this.#unlist();
        const drainMs = Math.max(this.#lastArrival - network.engine.now, 0) + network.drawRoundTrip();
        this.host.arrival(drainMs, () => {
          this.vanish();
          resolve();
        });
      });
    });
  }

  /** Off the network, and known to be: what is sent to it bounces. */
  vanish(): void {
    this.#closed = true;
    this.serves = false;
    this.#unlist();
  }

  #unlist(): void {
    const { endpoints } = this.#network;
    if (endpoints.get(this.address) === this) endpoints.delete(this.address);
  }

  setConnected(connected: boolean): void {
    if (this.#connected === connected) return;
    this.#connected = connected;
    this.host.arrival(this.#network.drawRoundTrip(), () => {
      if (!this.#closed && this.#connected === connected) this.#receiver.connectionChanged(connected);
    });
  }

  #transmit(lane: Lane, to: NodeAddress, payload: Uint8Array, ticket: number): void {
    const network = this.#network;
    const { engine } = network;
    engine.hash.bytes(payload);
    const target = network.endpoints.get(to);
    if (!target) return this.#bounce(lane, to, ticket);
    const way = network.cutBetween(this.host, target.host);
    if (way === 'refused') return this.#bounce(lane, to, ticket);
    const latencyMs = network.drawLatency();
    if (way === 'silent' || latencyMs === Number.POSITIVE_INFINITY) return;
    const second = network.drawDuplicate();
    if (second !== undefined) this.#deliver(target, lane, payload, 0, latencyMs + second);
    this.#deliver(target, lane, payload, ticket, this.#inOrder(lane, target, latencyMs));
  }

  /** Not before what was sent before, unless it is overtaken. */
  #inOrder(lane: Lane, to: SimulatedEndpoint, latencyMs: number): number {
    const { engine } = this.#network;
    const straggling = this.#network.drawStraggling();
    if (straggling > 0) return latencyMs + straggling;
    let last = this.#lastTo.get(to.address);
    if (!last) {
      last = { data: 0, control: 0 };
      this.#lastTo.set(to.address, last);
    }
    last[lane] = Math.max(last[lane], engine.now + latencyMs);
    to.#lastArrival = Math.max(to.#lastArrival, last[lane]);
    return last[lane] - engine.now;
  }

  #deliver(target: SimulatedEndpoint, lane: Lane, payload: Uint8Array, ticket: number, inMs: number): void {
    const { host } = target;
    const arrive = () => {
      // The cable was cut, or the connection lost, while it was on its way.
      if (target.#closed || !target.#connected || this.#network.cutBetween(this.host, host)) return;
      target.#receiver.received(lane, payload);
    };
    // A host that has died does not say so; only when its process ended does its connection close.
    if (target.#closed) this.#bounce(lane, target.address, ticket);
    else host.arrival(inMs, arrive);
  }

  #bounce(lane: Lane, to: NodeAddress | undefined, ticket: number): void {
    if (ticket === 0) return;
    this.host.arrival(this.#network.drawRoundTrip(), () => {
      if (!this.#closed) this.#receiver.undeliverable(lane, to, ticket);
    });
  }
}
