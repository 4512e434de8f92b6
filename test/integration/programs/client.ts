import { createInterface } from 'node:readline';
import { Client } from 'granary';
import { nats } from 'granary/nats';
import type { Failure, Success } from '../books.ts';
import { Load } from '../load.ts';
import { Recorder } from './recorder.ts';

/**
 * A client in a process of its own, with a load. It takes its options as one JSON argument, prints
 * `ready <pid>`, then `calls <JSON>` with what has ended, again and again. A line `{ id, read: key }` on
 * stdin is answered by `answer <id> <count or error>`, the line `"stop"` by the last calls and `stopped`.
 */
export interface ClientProgramOptions {
  readonly cluster: string;
  readonly servers: string;
  readonly keys: readonly string[];
  readonly callTimeoutMs: number;
  /** The file for what the client tells. */
  readonly history: string;
}

export type ClientOrder = { readonly id: number; readonly read: string } | 'stop';

/** The test reads one line at a time: many calls make one. */
const PRINT_MS = 20;

const { cluster, servers, keys, callTimeoutMs, history } = JSON.parse(
  process.argv[2] ?? '{}',
) as ClientProgramOptions;
const recorder = new Recorder(history);
const client = await Client.connect({
  ...{ cluster, transport: nats({ servers }), callTimeoutMs, log: 'silent', onEvent: recorder.record },
});
recorder.name(client.address);

let calls: (Success | Failure)[] = [];
const load = new Load(client, keys, (call) => calls.push(call));
const printing = setInterval(print, PRINT_MS);

function print(): void {
  if (calls.length > 0) console.log(`calls ${JSON.stringify(calls)}`);
  calls = [];
}

const input = createInterface({ input: process.stdin });
input.on('line', async (line) => {
  const order = JSON.parse(line) as ClientOrder;
  if (order !== 'stop') {
    const answer = await load.read(order.read).catch((error: Error) => error.message);
    return console.log(`answer ${order.id} ${JSON.stringify(answer)}`);
  }
  await load.stop();
  clearInterval(printing);
  print();
  console.log('stopped');
});

console.log(`ready ${process.pid}`);
