import { setTimeout as pause } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { Compose, docker, inspect } from './docker.ts';

/**
 * The whole of docs/compose.md, for real: builds the image, starts three silos, runs the demo against them
 * while one is killed, stops another in order, and removes everything.
 *
 *   npm run test:compose [-- --no-build --keep]
 *
 * `--no-build`: the image is there already. `--keep`: leave the containers for a look.
 */
const { values: options } = parseArgs({
  options: { 'no-build': { type: 'boolean' }, keep: { type: 'boolean' } },
});

const SILOS = 3;
const HEALTHY_MS = 120_000;
/** Lines that the demo prints each second; after so many of them the transfers are well under way. */
const LINES_BEFORE_KILL = 3;

// A free port instead of 4222, which somebody else may have.
const compose = new Compose(`granary-test-${process.pid}`, { NATS_PORT: '0' });
try {
  if (!options['no-build']) compose.do('build', 'silo');
  compose.do('up', '-d', '--no-build', '--scale', `silo=${SILOS}`);
  await healthy();
  await survivesKill();
  await stopsInOrder();
  console.log('docker compose: all is well');
} catch (error) {
  compose.do('logs', '--tail', '50');
  console.error(error);
  process.exitCode = 1;
} finally {
  if (!options.keep) compose.do('down', '-v', '--remove-orphans', '--timeout', '15');
}

/** Docker tells nobody when a container becomes healthy, so this looks. */
async function healthy(): Promise<void> {
  const end = performance.now() + HEALTHY_MS;
  for (;;) {
    const states = compose.containers('silo').map((id) => inspect(id, '{{.State.Health.Status}}'));
    if (states.length === SILOS && states.every((state) => state === 'healthy')) return;
    if (performance.now() > end) throw new Error(`the silos are not healthy: ${states.join(', ')}`);
    await pause(200);
  }
}

/** The demo does not notice that a silo dies but by waiting a moment: it exits with 0. */
async function survivesKill(): Promise<void> {
  const [victim = ''] = compose.containers('silo');
  const lines: string[] = [];
  const code = await compose.follow(['run', '--rm', '-T', 'demo'], (line) => {
    console.log(`demo | ${line}`);
    lines.push(line);
    if (
      !line.includes('calls/s') ||
      lines.filter((l) => l.includes('calls/s')).length !== LINES_BEFORE_KILL
    ) {
      return;
    }
    console.log(`$ docker kill ${victim}`);
    docker('kill', victim);
  });
  const name = inspect(victim, '{{.Config.Hostname}}');
  if (code !== 0) throw new Error(`the demo ended with exit code ${code}`);
  for (const wanted of [`silo ${name} is gone`, 'the store says', 'PROVED']) {
    if (!lines.some((line) => line.includes(wanted))) throw new Error(`the demo did not say '${wanted}'`);
  }
}

async function stopsInOrder(): Promise<void> {
  const silo = compose.containers('silo').find((id) => inspect(id, '{{.State.Running}}') === 'true') ?? '';
  docker('stop', silo);
  const code = inspect(silo, '{{.State.ExitCode}}');
  if (code !== '0') throw new Error(`a silo that was stopped ended with exit code ${code}`);
}
