import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

const path = (relative: string) => fileURLToPath(new URL(relative, import.meta.url));

/** The public entry points, as package.json exports them, but from the sources. */
const alias = [
  { find: /^granary$/, replacement: path('framework/index.ts') },
  { find: /^granary\/nats$/, replacement: path('framework/nats.ts') },
  { find: /^granary\/postgres$/, replacement: path('persistence/postgres.ts') },
  { find: /^granary\/testing$/, replacement: path('framework/testing/index.ts') },
  { find: /^granary\/grains\/(.+)$/, replacement: `${path('grains')}/$1.ts` },
];

interface Kind {
  readonly name: string;
  /** Of test/. */
  readonly folders: readonly string[];
  readonly timeoutMs: number;
  /** Kinds run one after the other; files within one kind run together, unless they run alone. */
  readonly order: number;
  readonly alone?: boolean;
  /** Needs nats-server and PostgreSQL: they are found, or installed, before its first file. */
  readonly servers?: boolean;
}

export const KINDS: readonly Kind[] = [
  { name: 'unit', folders: ['unit'], timeoutMs: 5_000, order: 0 },
  { name: 'cluster', folders: ['cluster', 'simulation'], timeoutMs: 30_000, order: 1 },
  { name: 'conformance', folders: ['conformance'], timeoutMs: 30_000, order: 2, servers: true },
  // Alone, because these tests measure how fast a cluster recovers.
  {
    name: 'integration',
    folders: ['integration', 'samples'],
    timeoutMs: 60_000,
    order: 3,
    alone: true,
    servers: true,
  },
];

export default defineConfig({
  resolve: { alias },
  test: {
    pool: 'forks',
    projects: KINDS.map((kind) => ({
      extends: true as const,
      test: {
        name: kind.name,
        include: kind.folders.map((folder) => `test/${folder}/**/*.test.ts`),
        testTimeout: kind.timeoutMs,
        hookTimeout: kind.timeoutMs,
        setupFiles: kind.servers ? ['test/support/stop-leftovers.ts'] : [],
        globalSetup: kind.servers ? ['test/support/install-servers.ts'] : [],
        sequence: { groupOrder: kind.order },
        ...(kind.alone ? { maxWorkers: 1 } : {}),
      },
    })),
  },
});
