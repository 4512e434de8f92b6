import { createRequire } from 'node:module';
import type { Logger, pino } from 'pino';
import type { RuntimeEvent, RuntimeEvents, RuntimeEventType } from './events.ts';

export type LogOption = Logger | 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'silent';

/**
 * The log of one node, from what the user gave: a pino logger of their own, or a level. Warnings by default,
 * to standard error. Many programs never write a line, so pino is loaded with the first one: that makes
 * `import 'granary'` a seventh shorter.
 */
export class NodeLog {
  readonly #option: LogOption;
  readonly #bindings: Record<string, unknown>;
  #logger: Logger | undefined;

  constructor(option: LogOption | undefined, bindings: Record<string, unknown>) {
    this.#option = option ?? 'warn';
    this.#bindings = bindings;
  }

  get logger(): Logger {
    this.#logger ??= this.#open();
    return this.#logger;
  }

  /** Whether events that are no more than news may be written. */
  get tellsNews(): boolean {
    return typeof this.#option === 'object' || ['trace', 'debug', 'info'].includes(this.#option);
  }

  #open(): Logger {
    const option = this.#option;
    if (typeof option === 'object') return option.child(this.#bindings);
    const make = createRequire(import.meta.url)('pino') as typeof pino;
    return make({ level: option, base: this.#bindings }, make.destination({ fd: 2, sync: true }));
  }
}

const NEWS: readonly RuntimeEventType[] = ['viewChanged', 'siloStarted', 'siloStopped'];

const TROUBLE: readonly RuntimeEventType[] = [
  'siloSuspected',
  'awayNoticed',
  'siloReplaced',
  'connectionChanged',
  'messageDropped',
  'oneWayFailed',
  'hookFailed',
  'timerFailed',
  'eventFailed',
  'eventDeadLettered',
  'eventLogFailed',
  'reminderFailed',
  'reminderSkipped',
  'reminderStoreFailed',
  'luggageLost',
  'listenerFailed',
];

/** Writes what the runtime tells into a log. */
export function logEvents(events: RuntimeEvents, log: NodeLog): () => void {
  const types = log.tellsNews ? [...NEWS, ...TROUBLE] : TROUBLE;
  return events.subscribe((event) => write(log.logger, event), types);
}

function write(log: Logger, event: RuntimeEvent): void {
  switch (event.type) {
    case 'viewChanged':
      return log.info({ silos: event.silos }, 'the silos of the cluster have changed');
    case 'siloSuspected':
      return log.warn({ silo: event.silo, reason: event.reason }, 'a silo counts as unreachable');
    case 'awayNoticed':
      return log.warn({ forMs: event.forMs }, 'this silo was away; it hears what happened before it goes on');
    case 'siloReplaced':
      return log.error({ by: event.by }, 'a later silo of this name has joined; this one ends');
    case 'connectionChanged':
      return log.warn(event.connected ? 'connected again' : 'the connection to the cluster is lost');
    case 'messageDropped':
      return log.warn({ lane: event.lane, reason: event.reason }, 'a message was dropped');
    case 'oneWayFailed':
      return log.error(
        { grain: event.grain, method: event.method, err: event.error },
        'a one-way call failed',
      );
    case 'hookFailed':
      return log.error({ grain: event.grain, hook: event.hook, err: event.error }, 'a hook failed');
    case 'timerFailed':
      return log.error({ grain: event.grain, timer: event.timer, err: event.error }, 'a tick failed');
    case 'eventFailed':
    case 'eventDeadLettered': {
      const { topic, grain, seq, attempt, error } = event;
      const what = event.type === 'eventFailed' ? 'an event was not handled' : 'an event was put aside';
      return log.warn({ topic, grain, seq, attempt, err: error }, what);
    }
    case 'eventLogFailed':
      return log.warn({ topic: event.topic, err: event.error }, 'the log of events does not answer');
    case 'reminderFailed': {
      const { grain, reminder, retryInMs, error } = event;
      if (retryInMs === undefined) return log.error({ grain, reminder, err: error }, 'a tick was given up');
      return log.warn({ grain, reminder, retryInMs, err: error }, 'a tick failed, and is made again');
    }
    case 'luggageLost':
      return log.warn({ grain: event.grain, reason: event.reason }, 'a grain moved without its memory');
    case 'reminderSkipped':
      return log.warn({ grain: event.grain, reminder: event.reminder }, 'a tick came too late');
    case 'reminderStoreFailed':
      return log.warn({ err: event.error }, 'the store of reminders does not answer');
    case 'listenerFailed':
      return log.error({ err: event.error }, 'a listener to events failed');
    case 'siloStarted':
    case 'siloStopped':
      return log.info(event.type === 'siloStarted' ? 'the silo has started' : 'the silo has stopped');
  }
}
