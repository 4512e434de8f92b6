import type { NodeAddress } from '../../identity/silo-address.ts';
import type { OpenOptions, Transport } from '../../transport/transport.ts';
import { SimulatedEndpoint } from './endpoint.ts';
import type { Engine } from './engine.ts';
import type { Host } from './host.ts';
import type { SeededRandom } from './seeded-random.ts';

/** How the network fares. Probabilities are per message. */
export interface NetworkConditions {
  /** Milliseconds that every message takes, at least; the rest is drawn from an exponential distribution. */
  readonly latencyMs: number;
  readonly jitterMs: number;
  /** Probabilities. */
  readonly loss: number;
  readonly duplication: number;
  /** Messages that are overtaken by later ones. */
  readonly reordering: number;
}

/** A network in one data centre on a quiet day. */
export const QUIET: NetworkConditions = {
  ...{ latencyMs: 0.2, jitterMs: 0.3 },
  ...{ loss: 0, duplication: 0, reordering: 0 },
};

/** Longer than a message takes on a network that works. */
const DISCOVERY_MS = 40;
/** How much later than usual something arrives that is overtaken, or sent again, in round trips. */
const STRAGGLING = 20;

/**
 * The network of a simulation. It keeps the contract of `Transport`, but for what it is told to break: loss,
 * duplicates, and order.
 */
export class SimulatedNetwork {
  readonly engine: Engine;
  readonly maxPayloadBytes: number;
  readonly discoveryMs = DISCOVERY_MS;
  readonly endpoints = new Map<NodeAddress, SimulatedEndpoint>();
  conditions: NetworkConditions = QUIET;
  readonly #random: SeededRandom;
  /** Whose messages do not reach whom: names, `from>to`. A set of `refused` ones bounces instead. */
  readonly #cut = new Map<string, 'silent' | 'refused'>();

  constructor(engine: Engine, maxPayloadBytes: number) {
    this.engine = engine;
    this.maxPayloadBytes = maxPayloadBytes;
    this.#random = engine.random.fork('network');
  }

  /** The network as one host reaches it. */
  at(host: Host): Transport {
    return { open: (options) => this.#open(host, options) };
  }

  /** A host is gone: what is sent to it bounces; if it went silently, nothing happens. */
  lose(host: Host): void {
    for (const endpoint of this.#of(host)) {
      if (host.silent) endpoint.serves = false;
      else endpoint.vanish();
    }
  }

  /** Nothing gets from one host to another; `refused`: and the sender hears that nobody is there. */
  cut(from: string, to: string, how: 'silent' | 'refused' = 'silent'): void {
    this.#cut.set(`${from}>${to}`, how);
  }

  heal(): void {
    this.#cut.clear();
  }

  get isWhole(): boolean {
    return this.#cut.size === 0 && this.conditions.loss === 0 && this.#allConnected;
  }

  get isOrdered(): boolean {
    const { loss, duplication, reordering } = this.conditions;
    return this.#cut.size === 0 && loss + duplication + reordering === 0 && this.#allConnected;
  }

  get #allConnected(): boolean {
    for (const { connected, host } of this.endpoints.values()) if (!connected && !host.dead) return false;
    return true;
  }

  cutBetween(from: Host, to: Host): 'silent' | 'refused' | undefined {
    return this.#cut.size === 0 ? undefined : this.#cut.get(`${from.name}>${to.name}`);
  }

  /** All nodes of a host lose their connection, and know it; what is on its way to them is lost. */
  disconnect(host: Host): void {
    for (const endpoint of this.#of(host)) endpoint.setConnected(false);
  }

  reconnect(host: Host): void {
    for (const endpoint of this.#of(host)) endpoint.setConnected(true);
  }

  /** How long the next message takes; `Infinity` when it is lost. */
  drawLatency(): number {
    const { latencyMs, jitterMs, loss } = this.conditions;
    if (this.#random.chance(loss)) return Number.POSITIVE_INFINITY;
    return latencyMs + this.#random.exponential(jitterMs);
  }

  /** By how much the next message is late, and overtaken; 0 for most. */
  drawStraggling(): number {
    return this.#random.chance(this.conditions.reordering) ? this.#straggle() : 0;
  }

  /** When the next message arrives a second time; undefined for most. */
  drawDuplicate(): number | undefined {
    return this.#random.chance(this.conditions.duplication) ? this.#straggle() : undefined;
  }

  /** One of the silos that serve and that `from` reaches. */
  anySilo(from: SimulatedEndpoint): SimulatedEndpoint | undefined {
    const reached = [...this.endpoints.values()].filter(
      (each) =>
        each !== from &&
        each.cluster === from.cluster &&
        each.serves &&
        !this.cutBetween(from.host, each.host),
    );
    return reached.length === 0 ? undefined : this.#random.pick(reached);
  }

  async #open(host: Host, options: OpenOptions): Promise<SimulatedEndpoint> {
    host.address = options.address;
    const endpoint = new SimulatedEndpoint(this, host, options);
    await new Promise<void>((resolve) => host.arrival(this.drawRoundTrip(), resolve));
    this.endpoints.set(options.address, endpoint);
    return endpoint;
  }

  /** Between a node and the server it is connected to: nothing of that is ever lost. */
  drawRoundTrip(): number {
    const { latencyMs, jitterMs } = this.conditions;
    return latencyMs + this.#random.exponential(jitterMs);
  }

  #straggle(): number {
    const { latencyMs, jitterMs } = this.conditions;
    return this.#random.exponential(STRAGGLING * (latencyMs + jitterMs));
  }

  #of(host: Host): SimulatedEndpoint[] {
    return [...this.endpoints.values()].filter((endpoint) => endpoint.host === host);
  }
}
