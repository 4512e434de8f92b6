import { ensureServers } from '../support/binaries.ts';
import { startNats } from '../support/nats-server.ts';
import { startPostgres } from '../support/postgres.ts';
import type { Place } from './asked.ts';
import type { Measure } from './measures.ts';

/** The servers that some measures need. */
export interface Services {
  /** A side whose programs are compiled in a folder; no other side shares its records. */
  place(folder: string): Promise<Place>;
}

export async function startServices(measures: readonly Measure[]): Promise<Services> {
  const needed = new Set(measures.flatMap(({ needs = [] }) => needs));
  ensureServers([...needed]);
  const nats = needed.has('nats') ? await startNats() : undefined;
  const postgres = needed.has('postgres') ? await startPostgres({ settings: { fsync: 'on' } }) : undefined;
  return {
    place: async (folder) => ({
      folder,
      servers: nats ? [nats.pid] : [],
      env: {
        NODE_ENV: 'production',
        ...(nats && { NATS_URL: nats.url }),
        ...(postgres && { DATABASE_URL: await postgres.createDatabase() }),
      },
    }),
  };
}
