import { parseArgs } from 'node:util';
import { Grain, grain, method, reminder, Silo } from 'granary';
import { hash32 } from '../../framework/identity/hash.ts';
import { memory } from '../../persistence/memory.ts';
import { postgres } from '../../persistence/postgres.ts';
import { startPostgres } from '../support/postgres.ts';

/**
 * Many reminders that are due at one moment, beside ordinary calls: how long until all have ticked, and what
 * the calls notice. `tsx test/bench/reminders.ts --count 100000 --store postgres`.
 */
const { values } = parseArgs({
  options: {
    count: { type: 'string', default: '100000' },
    store: { type: 'string', default: 'postgres' },
    callsPerSecond: { type: 'string', default: '1000' },
  },
});
const count = Number(values.count);
const everyMs = 1_000 / Number(values.callsPerSecond);
/** How long calls alone are measured, and how long before the reminders are due the silo knows of them. */
const ALONE_MS = 5_000;

let ticked = 0;
let allTicked = () => {};

@grain()
class Alarm extends Grain {
  @method()
  async touch(): Promise<void> {}

  @reminder('ring')
  async onRing(): Promise<void> {
    if (++ticked === count) allTicked();
  }
}

/** Calls at an even pace while `active`; returns how long each took, in milliseconds. */
async function call(silo: Silo, active: () => boolean): Promise<number[]> {
  const took: number[] = [];
  const begun = performance.now();
  const calls: Promise<void>[] = [];
  for (let n = 0; active(); n++) {
    const due = begun + n * everyMs;
    while (performance.now() < due) await new Promise((resolve) => setTimeout(resolve, 1));
    const call = silo.grain(Alarm, `caller-${n % 100}`).touch();
    calls.push(call.then(() => void took.push(performance.now() - due)));
  }
  await Promise.all(calls);
  return took.sort((a, b) => a - b);
}

function quantiles(took: readonly number[]): string {
  const at = (share: number) => (took[Math.floor(took.length * share)] ?? Number.NaN).toFixed(1);
  return `p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, worst ${(took.at(-1) ?? 0).toFixed(1)} ms of ${took.length}`;
}

const server = values.store === 'postgres' ? await startPostgres() : undefined;
const store = server ? postgres({ url: server.url }) : memory();
await store.open();
const dueAt = Date.now() + ALONE_MS + Math.ceil(count / 4);
for (let from = 0; from < count; from += 20_000) {
  const keys = Array.from({ length: Math.min(20_000, count - from) }, (_, n) => `k${from + n}`);
  await Promise.all(
    keys.map((key) =>
      store.setReminder({
        ...{ type: 'Alarm', key, name: 'ring', hash: hash32(`Alarm/${key}`), registration: `r-${key}` },
        ...{ dueAt, wakeAt: dueAt, failures: 0, schedule: '{"dueMs":0,"missed":"once"}' },
      }),
    ),
  );
}
const silo = await Silo.start({ grains: [Alarm], stores: { default: store } });
console.log(`${count} reminders, ${values.store}, ${values.callsPerSecond} calls a second beside them`);
const aloneUntil = performance.now() + ALONE_MS;
console.log('calls alone:     ', quantiles(await call(silo, () => performance.now() < aloneUntil)));
await new Promise((resolve) => setTimeout(resolve, dueAt - Date.now()));
let done = false;
const all = new Promise<void>((resolve) => {
  allTicked = () => {
    done = true;
    resolve();
  };
});
const startedAt = performance.now();
const took = await call(silo, () => !done);
await all;
const seconds = (performance.now() - startedAt) / 1_000;
console.log('calls beside:    ', quantiles(took));
console.log(`all had ticked after ${seconds.toFixed(1)} s: ${Math.round(count / seconds)} ticks a second`);
await silo.stop();
await store.close();
await server?.stop();
