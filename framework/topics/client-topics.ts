import { InvalidConfigError } from '../errors.ts';
import type { Caller } from '../grain/reference.ts';
import type { GrainKey } from '../identity/grain-id.ts';
import type { Cluster } from '../membership/cluster.ts';
import type { Node } from '../rpc/node.ts';
import { Broadcaster } from './broadcasts.ts';
import type { EventLogSession } from './event-log.ts';
import { Publisher } from './publisher.ts';

export interface ClientTopicsOptions {
  readonly node: Node;
  readonly cluster: Cluster;
  readonly caller: Caller;
  /** Undefined: this client has been given no log. */
  readonly session: EventLogSession | undefined;
  readonly callTimeoutMs: number;
}

/** What a client can do with topics: put events into them. */
export class ClientTopics {
  readonly #options: ClientTopicsOptions;
  readonly #publisher: Publisher | undefined;
  readonly #broadcaster: Broadcaster;

  constructor(options: ClientTopicsOptions) {
    this.#options = options;
    const { node, cluster, caller, session } = options;
    this.#publisher = session && new Publisher(session, node);
    this.#broadcaster = new Broadcaster({ clock: node.clock, cluster, caller });
  }

  async publish(topic: string, key: GrainKey, event: unknown): Promise<number> {
    const { node, callTimeoutMs } = this.#options;
    if (this.#publisher) {
      return this.#publisher.publish(topic, key, event, node.clock.now() + callTimeoutMs);
    }
    throw new InvalidConfigError(
      'this client has no log of events; pass the one of the silos: ' +
        "Client.connect({ topics: jetStream({ servers }) }), with jetStream from 'granary/nats'",
    );
  }

  broadcast(topic: string, event: unknown): Promise<number> {
    return this.#broadcaster.broadcast(topic, event);
  }

  async close(): Promise<void> {
    this.#publisher?.stop();
    await this.#options.session?.close();
  }
}
