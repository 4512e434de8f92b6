import type { ConnectionOptions } from 'nats';
import { InvalidConfigError } from '../errors.ts';
import { checkKnown } from '../grain/checks.ts';
import type { NatsOptions } from '../transport/nats.ts';
import { parseServers } from '../transport/nats-servers.ts';
import { checkWhole } from '../transport/open-options.ts';
import type { EventLog } from './event-log.ts';
import { checkShards } from './in-process-log.ts';
import { JetStreamLink } from './jet-stream-link.ts';
import { JetStreamNames } from './jet-stream-names.ts';
import { JetStreamSession } from './jet-stream-session.ts';

export interface JetStreamOptions extends NatsOptions {
  /** Shards of topics that are made: the parts that silos share among them. 16 by default; fixed then. */
  readonly shards?: number;
  /** Copies that JetStream keeps of what is made, on as many servers: 1 by default; 3 survive one's loss. */
  readonly replicas?: 1 | 2 | 3 | 4 | 5;
  /** How long topics that are made keep events, handled or not. 7 days by default. */
  readonly maxAgeMs?: number;
  /** Bytes that each topic that is made keeps; the oldest events go first. As many as there is room for. */
  readonly maxBytes?: number;
}

const OPTIONS: readonly (keyof JetStreamOptions)[] = [
  ...(['servers', 'name', 'connectTimeoutMs', 'connection'] as const),
  ...(['shards', 'replicas', 'maxAgeMs', 'maxBytes'] as const),
];
const WEEK_MS = 7 * 24 * 60 * 60 * 1000;
const UNLIMITED = -1;

/**
 * Topics on NATS JetStream, for all silos and clients of a cluster: `Silo.start({ topics: jetStream({ servers
 * }) })`. Each node has one more connection, which reconnects for ever. Throws `InvalidConfigError`.
 */
export function jetStream(options: JetStreamOptions): EventLog {
  if (typeof options !== 'object' || options === null)
    throw new InvalidConfigError("jetStream(): options are missing; pass { servers: 'nats://…' }, say");
  checkKnown('jetStream()', options, OPTIONS);
  const { name = 'granary', connectTimeoutMs = 5_000, connection = {}, shards } = options;
  const { replicas = 1, maxAgeMs = WEEK_MS, maxBytes = UNLIMITED } = options;
  checkWhole('jetStream()', 'connectTimeoutMs', connectTimeoutMs, 1);
  checkWhole('jetStream()', 'maxAgeMs', maxAgeMs, 1);
  if (maxBytes !== UNLIMITED) checkWhole('jetStream()', 'maxBytes', maxBytes, 1);
  if (shards !== undefined) checkShards('jetStream()', shards);
  if (![1, 2, 3, 4, 5].includes(replicas))
    throw new InvalidConfigError(`jetStream(): replicas is ${replicas}; it must be from 1 to 5`);
  if (typeof name !== 'string') throw new InvalidConfigError('jetStream(): name must be a string');
  const servers = parseServers(options.servers);
  return {
    async open({ cluster }) {
      const settings = { servers, connectTimeoutMs, connection: connection as Partial<ConnectionOptions> };
      const link = new JetStreamLink({ ...settings, name: `${name} ${cluster} topics` });
      await link.open();
      const session = new JetStreamSession(link, new JetStreamNames(cluster), {
        ...{ shards, replicas, maxAgeMs, maxBytes },
      });
      try {
        await session.open();
      } catch (error) {
        await session.close();
        throw error;
      }
      return session;
    },
  };
}
