import { createInterface } from 'node:readline';
import { type RuntimeEvent, Silo } from 'granary';
import { nats } from 'granary/nats';
import { postgres } from 'granary/postgres';
import { runtimeOf } from '../../../framework/silo.ts';
import { machineNow } from '../../support/machine-clock.ts';
import { GRAINS } from './grains.ts';
import { Recorder } from './recorder.ts';

/**
 * A silo in a process of its own. It takes its options as one JSON argument, prints
 * `ready <name> <pid> <address>` or `refused <error>`, answers each line `{ id, ask }` on stdin with
 * `answer <id> <JSON>`, and stops in order on SIGTERM: then it prints what turns it ran and ends by itself.
 */
export interface SiloProgramOptions {
  readonly cluster: string;
  readonly name: string;
  readonly servers: string;
  readonly database?: string;
  readonly partitions?: number;
  /** The file for what the silo tells. */
  readonly history?: string;
}

/** The turns of one activation; times are `machineNow`. */
export interface TurnSpan {
  readonly grain: string;
  readonly activationId: string;
  readonly silo: string;
  readonly first: number;
  last: number;
  turns: number;
  /** Turns that have begun and not ended. */
  running: number;
}

export interface SiloState {
  readonly era: string;
  readonly present: readonly string[];
  readonly settled: boolean;
  readonly activations: readonly (readonly [grain: string, activationId: string])[];
  readonly events: readonly (RuntimeEvent & { readonly at: number })[];
  readonly spans: readonly TurnSpan[];
}

const options = JSON.parse(process.argv[2] ?? '{}') as SiloProgramOptions;
const { cluster, name, servers, database, partitions, history } = options;
const recorder = history === undefined ? undefined : new Recorder(history);

const silo = await Silo.start({
  ...{ cluster, name, grains: GRAINS, transport: nats({ servers }), log: 'warn' },
  ...(database !== undefined && { stores: { default: postgres({ url: database }) } }),
  ...(partitions !== undefined && { partitions }),
  ...(recorder && { onEvent: recorder.record }),
}).catch((error: Error & { code?: string }) => {
  console.log(`refused ${JSON.stringify({ name: error.name, code: error.code, message: error.message })}`);
  process.exit(1);
});

const runtime = runtimeOf(silo);
recorder?.name(runtime.node.address);
const spans = new Map<string, TurnSpan>();
const events: (RuntimeEvent & { at: number })[] = [];

silo.subscribe((event) => {
  if (event.type === 'turnStarted') {
    const at = machineNow();
    let span = spans.get(event.activationId);
    if (!span) {
      const { grain, activationId } = event;
      span = { grain, activationId, silo: name, first: at, last: at, turns: 0, running: 0 };
      spans.set(activationId, span);
    }
    span.turns++;
    span.running++;
  } else if (event.type === 'turnEnded') {
    const span = spans.get(event.activationId) as TurnSpan;
    span.last = machineNow();
    span.running--;
  }
});
/** The others come with every call. */
const RARE: readonly RuntimeEvent['type'][] = [
  'viewChanged',
  'eraSettled',
  'siloSuspected',
  'awayNoticed',
  'connectionChanged',
  'siloReplaced',
  'messageDropped',
  'conflictResolved',
  'hookFailed',
];
runtime.node.events.subscribe((event) => events.push({ ...event, at: machineNow() }), RARE);

function stateOfSilo(): SiloState {
  const { directory, dispatcher, catalog, membership } = runtime;
  const joining = membership.view.some((entry) => entry.status === 'joining' && !entry.unreachable);
  return {
    era: directory.era.id,
    present: [...directory.era.present].sort(),
    settled: directory.settled && dispatcher.waiting === 0 && !joining,
    activations: [...catalog.all()].map(({ id, activationId }) => [id, activationId]),
    events,
    spans: [...spans.values()],
  };
}

const input = createInterface({ input: process.stdin });
input.on('line', (line) => {
  const { id } = JSON.parse(line) as { id: number };
  console.log(`answer ${id} ${JSON.stringify(stateOfSilo())}`);
});

process.once('SIGTERM', async () => {
  await silo.stop();
  console.log(`stopped ${JSON.stringify(stateOfSilo())}`);
  input.close();
  process.stdin.destroy();
});

console.log(`ready ${name} ${process.pid} ${runtime.node.address}`);
