import { createInterface } from 'node:readline';
import { type RuntimeEvent, Silo } from 'granary';
import { nats } from 'granary/nats';
import { postgres } from 'granary/postgres';
import { runtimeOf } from '../../../framework/silo.ts';
import { GRAINS } from './grains.ts';

/**
 * A silo in a process of its own. It takes its options as one JSON argument, prints `ready <name> <pid>` or
 * `refused <error>`, answers each line `{ id, ask }` on stdin with `answer <id> <JSON>`, and stops in order
 * on SIGTERM: then it prints what turns it ran and ends by itself.
 */
export interface SiloProgramOptions {
  readonly cluster: string;
  readonly name: string;
  readonly servers: string;
  readonly database?: string;
  readonly partitions?: number;
}

/** The turns of one activation, in wall-clock milliseconds that all processes of a machine share. */
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

const now = () => performance.timeOrigin + performance.now();

const options = JSON.parse(process.argv[2] ?? '{}') as SiloProgramOptions;
const { cluster, name, servers, database, partitions } = options;

const silo = await Silo.start({
  ...{ cluster, name, grains: GRAINS, transport: nats({ servers }), log: 'warn' },
  ...(database !== undefined && { stores: { default: postgres({ url: database }) } }),
  ...(partitions !== undefined && { partitions }),
}).catch((error: Error & { code?: string }) => {
  console.log(`refused ${JSON.stringify({ name: error.name, code: error.code, message: error.message })}`);
  process.exit(1);
});

const runtime = runtimeOf(silo);
const spans = new Map<string, TurnSpan>();
const events: (RuntimeEvent & { at: number })[] = [];

silo.subscribe((event) => {
  if (event.type === 'turnStarted') {
    const at = now();
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
    span.last = now();
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
runtime.node.events.subscribe((event) => events.push({ ...event, at: now() }), RARE);

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

console.log(`ready ${name} ${process.pid}`);
