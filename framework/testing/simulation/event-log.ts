import { EventLogError } from '../../errors.ts';
import type { EventLog } from '../../topics/event-log.ts';
import type { Change, MemoryLog } from '../../topics/memory-log.ts';
import { MemorySession, type Road } from '../../topics/memory-session.ts';
import type { Host } from './host.ts';
import type { StoreSite } from './store.ts';

/** After which a node gives an answer of the log up. */
const GIVES_UP_MS = 3_000;

/**
 * A log of events as one node of a simulation reaches it: on the machine of the stores, and with their
 * troubles. What has left is carried out, whatever happens to the node meanwhile; the answer finds the node,
 * or does not.
 */
export function simulatedLog(site: StoreSite, host: Host, log: MemoryLog): EventLog {
  return {
    open: async ({ clock }) => new MemorySession(log, new SimulatedRoad(site, host, log), clock),
  };
}

class SimulatedRoad implements Road {
  readonly #site: StoreSite;
  readonly #host: Host;
  readonly #log: MemoryLog;

  constructor(site: StoreSite, host: Host, log: MemoryLog) {
    this.#site = site;
    this.#host = host;
    this.#log = log;
  }

  ask<T>(changes: boolean, act: () => T): Promise<T> {
    const site = this.#site;
    const { network, random } = site;
    return new Promise((resolve, reject) => {
      const failed = (text: string, afterMs: number) =>
        this.#host.arrival(afterMs, () => reject(new EventLogError(text)));
      if (this.#host.dead) return;
      if (network.cutBetween(this.#host, site.host)) return failed('the log did not answer', GIVES_UP_MS);
      site.host.arrival(site.drawLatency(), () => {
        const { errors, errorsAfterWrite, lostAnswers } = site.conditions;
        if (random.chance(errors)) return failed('the log refused', site.drawLatency());
        const fails = changes && random.chance(errorsAfterWrite);
        const answerIsLost =
          (changes && random.chance(lostAnswers)) || network.cutBetween(site.host, this.#host) !== undefined;
        let result: T;
        try {
          result = act();
        } catch (error) {
          return void this.#host.arrival(site.drawLatency(), () => reject(error));
        }
        if (answerIsLost) failed('the log did not answer', GIVES_UP_MS);
        else if (fails) failed('the connection to the log broke', site.drawLatency());
        else this.#host.arrival(site.drawLatency(), () => resolve(result));
      });
    });
  }

  /** Word of a change is lost when the node is cut off: who waits looks again by itself. */
  onChange(wake: (change: Change) => void): () => void {
    const { network, host } = this.#site;
    return this.#log.onChange((change) => {
      if (this.#host.dead || network.cutBetween(host, this.#host)) return;
      this.#host.arrival(this.#site.drawLatency(), () => wake(change));
    });
  }
}
