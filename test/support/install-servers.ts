import { ensureServers } from './binaries.ts';

/** Vitest's global setup for the tests that run real servers: once per run, before the first of them. */
export default function setup(): void {
  ensureServers(['nats', 'postgres']);
}
