import { InvalidConfigError } from '../errors.ts';
import { checkKnown } from '../grain/checks.ts';
import { LIMITS } from '../limits.ts';
import type { EventLog } from './event-log.ts';
import { MemoryLog } from './memory-log.ts';
import { MemorySession } from './memory-session.ts';

export interface InProcessLogOptions {
  /** Shards of each topic: the parts that the silos share among them. 16 by default. */
  readonly shards?: number;
  /** Events of a topic that are kept; the oldest go first, handled or not. 100,000 by default. */
  readonly maxEvents?: number;
}

/**
 * A log inside this process, gone with it: for tests, and for one process alone. Silos that are given the
 * same one share it. Throws `InvalidConfigError`.
 */
export function inProcessLog(options: InProcessLogOptions = {}): EventLog {
  checkKnown('inProcessLog()', options, ['shards', 'maxEvents'] satisfies (keyof InProcessLogOptions)[]);
  const { shards = LIMITS.topicShards, maxEvents = 100_000 } = options;
  checkShards('inProcessLog()', shards);
  if (!Number.isInteger(maxEvents) || maxEvents < 1) {
    throw new InvalidConfigError(
      `inProcessLog(): maxEvents is ${maxEvents}; it must be a whole number from 1 on`,
    );
  }
  const logs = new Map<string, MemoryLog>();
  return {
    async open({ cluster, clock }) {
      const log = logs.get(cluster) ?? new MemoryLog({ shards, maxEvents });
      logs.set(cluster, log);
      const ask = async <T>(_changes: boolean, act: () => T) => act();
      return new MemorySession(log, { ask, onChange: (wake) => log.onChange(wake) }, clock);
    },
  };
}

/** Throws `InvalidConfigError` when a number cannot be that of a topic's shards. */
export function checkShards(where: string, shards: number): void {
  if (Number.isInteger(shards) && shards >= 1 && shards <= LIMITS.topicShardsMax) return;
  throw new InvalidConfigError(
    `${where}: shards is ${shards}; it must be a whole number from 1 to ${LIMITS.topicShardsMax}`,
  );
}

const logs = new WeakMap<object, EventLog>();

/** The log of all who meet on a network inside this process, unless they are given another. */
export function logOn(network: object): EventLog {
  const log = logs.get(network) ?? inProcessLog();
  logs.set(network, log);
  return log;
}
