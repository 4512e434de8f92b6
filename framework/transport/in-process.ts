import { assert, CallTimeoutError, InvalidConfigError, NoSiloError } from '../errors.ts';
import { LIMITS } from '../limits.ts';
import { type Clock, systemClock } from '../system/clock.ts';
import { Cluster, Node, Wire } from './in-process-node.ts';
import { checkOpenOptions, checkWhole } from './open-options.ts';
import type { Endpoint, OpenOptions, Transport } from './transport.ts';

export interface InProcessOptions {
  /** Bytes that one message may have. 1 MiB by default, as on a NATS server. */
  readonly maxPayloadBytes?: number;
  readonly clock?: Clock;
}

/**
 * A network inside one process: silos and clients that are given the same one, and name the same cluster,
 * meet. The rest of its methods make trouble, for tests. They take node names or addresses; a name means the
 * node that has it at the time.
 */
export interface InProcessNetwork extends Transport {
  /**
   * From now on nothing passes between the two groups, either way, and nobody is told: as when cables are
   * cut.
   */
  partition(groupA: readonly string[], groupB: readonly string[]): void;
  /** Undoes every `partition`. */
  heal(): void;
  /**
   * The node is gone without a word, as by `kill -9`: sends to it are undeliverable, and what it still sends
   * is dropped.
   */
  crash(node: string): void;
  /**
   * Holds what the node sends and what is sent to it until `resume`, as when its process is stopped. Its own
   * timers run on: whoever wants it to believe that no time has passed gives it a clock that stops.
   */
  pause(node: string): void;
  resume(node: string): void;
  /** The node loses its connection, and knows it. What is sent to it is undeliverable. */
  disconnect(node: string): void;
  reconnect(node: string): void;
  /**
   * A plain call as a foreign client makes it, to `granary.<cluster>.call.<Type>.<key>.<method>`. Rejects
   * with `NoSiloError`.
   */
  request(subject: string, payload: Uint8Array, timeoutMs?: number): Promise<Uint8Array>;
}

/** A network inside this process. */
export function inProcess(options: InProcessOptions = {}): InProcessNetwork {
  const { maxPayloadBytes = 1024 * 1024, clock = systemClock } = options;
  checkWhole('inProcess()', 'maxPayloadBytes', maxPayloadBytes, 1024);
  return new Network(clock, maxPayloadBytes);
}

/** Whether what somebody passes as a network is one inside this process. */
export function isInProcess(transport: Transport): transport is InProcessNetwork {
  return transport instanceof Network;
}

class Network implements InProcessNetwork {
  readonly #clock: Clock;
  readonly #wire: Wire;
  readonly #clusters = new Map<string, Cluster>();

  constructor(clock: Clock, maxPayloadBytes: number) {
    this.#clock = clock;
    this.#wire = new Wire(clock, maxPayloadBytes);
  }

  async open(options: OpenOptions): Promise<Endpoint> {
    checkOpenOptions(options);
    const cluster = this.#clusters.get(options.cluster) ?? new Cluster();
    this.#clusters.set(options.cluster, cluster);
    if (cluster.nodes.has(options.address)) {
      throw new InvalidConfigError(
        `address: '${options.address}' is on this network already; every node needs its own`,
      );
    }
    const node = new Node(this.#wire, cluster, options.address, options.receiver);
    cluster.nodes.set(options.address, node);
    return node;
  }

  partition(groupA: readonly string[], groupB: readonly string[]): void {
    this.#wire.cut(groupA, groupB);
  }

  heal(): void {
    this.#wire.mend();
  }

  crash(name: string): void {
    this.#node(name).vanish();
  }

  pause(name: string): void {
    this.#node(name).pause();
  }

  resume(name: string): void {
    this.#node(name).resume();
  }

  disconnect(name: string): void {
    this.#node(name).setConnected(false);
  }

  reconnect(name: string): void {
    this.#node(name).setConnected(true);
  }

  request(
    subject: string,
    payload: Uint8Array,
    timeoutMs: number = LIMITS.callTimeoutMs,
  ): Promise<Uint8Array> {
    const [root, name = '', door, ...tokens] = subject.split('.');
    const cluster = this.#clusters.get(name);
    const silo = root === 'granary' && door === 'call' && tokens.length > 0 ? cluster?.pick() : undefined;
    if (!silo) return Promise.reject(new NoSiloError(`${subject}: no silo serves plain calls there`));
    return new Promise((resolve, reject) => {
      const timer = this.#clock.after(timeoutMs, () => {
        reject(new CallTimeoutError(`${subject}: no answer within ${timeoutMs} ms`));
      });
      const respond = (answer: Uint8Array) => {
        assert(
          answer.length <= this.#wire.maxPayloadBytes,
          `an answer of ${answer.length} bytes is over the limit`,
        );
        if (!silo.connected) return;
        this.#wire.queue.post(() => {
          timer.cancel();
          resolve(answer);
        });
      };
      this.#wire.queue.post(() => silo.deliver(() => silo.receiver.plainCall({ tokens, payload, respond })));
    });
  }

  #node(name: string): Node {
    for (const cluster of this.#clusters.values()) {
      const node = cluster.nodes.get(name) ?? cluster.named(name);
      if (node) return node;
    }
    throw new InvalidConfigError(`no node '${name}' is on this network`);
  }
}
