import { Silo } from 'granary';
import { nats } from 'granary/nats';
import { postgres } from 'granary/postgres';
import { Account } from '../bank/account.ts';
import { StandingOrder } from '../bank/standing-order.ts';
import { Transfer } from '../bank/transfer.ts';
import { Room } from '../chat/room.ts';
import { Health } from './health.ts';
import { readSettings, type Settings } from './settings.ts';

/** What comes after the time to stop: connections are closed, the store ends what is under way. */
const CLOSE_MS = 3_000;

await main().catch((error: Error) => {
  console.error(`granary silo: ${error.message}`);
  process.exit(1);
});

/** One silo of a cluster, set up by its environment, until it is told to stop. */
async function main(): Promise<void> {
  const settings = readSettings(process.env);
  const health = await Health.listen(settings.healthPort);
  // Before the start, so that it can be interrupted too.
  const told = stopSignal();
  const silo = await Promise.race([start(settings), told.then(() => undefined)]);
  if (!silo) process.exit(0);
  health.up(silo);
  console.log(
    `silo ${silo.name} of cluster ${settings.cluster} takes calls; silos: ${silo.silos.join(', ')}`,
  );
  const replaced = await Promise.race([told, replacedBy(silo)]);
  health.stopping();
  setTimeout(() => {
    console.error(`granary silo: not stopped after ${settings.stopMs + CLOSE_MS} ms`);
    process.exit(1);
  }, settings.stopMs + CLOSE_MS).unref();
  await silo.stop();
  health.close();
  if (replaced)
    throw new Error(`${replaced} has taken the name of this silo; give each its own GRANARY_SILO`);
  console.log(`silo ${silo.name} has left`);
  process.exit(0);
}

function start(settings: Settings): Promise<Silo> {
  return Silo.start({
    cluster: settings.cluster,
    name: settings.name,
    grains: [Account, Transfer, StandingOrder, Room],
    transport: nats({ servers: settings.natsUrl }),
    stores: {
      default: postgres({
        url: settings.databaseUrl,
        schema: settings.databaseSchema,
        poolSize: settings.databasePool,
      }),
    },
    partitions: settings.partitions,
    idleMs: settings.idleMs,
    drainMs: settings.stopMs,
    log: settings.log,
  });
}

/** Resolves at the first SIGTERM or SIGINT; the second ends the process at once. */
function stopSignal(): Promise<undefined> {
  return new Promise((resolve) => {
    let signals = 0;
    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      process.on(signal, () => {
        if (++signals === 1) {
          console.log(`${signal}: stopping; once more to stop at once`);
          resolve(undefined);
        } else {
          process.exit(1);
        }
      });
    }
  });
}

/** A later silo of this name ends this one. */
function replacedBy(silo: Silo): Promise<string> {
  return new Promise((resolve) => {
    silo.subscribe(
      (event) => {
        if (event.type === 'siloReplaced') resolve(event.by);
      },
      ['siloReplaced'],
    );
  });
}
