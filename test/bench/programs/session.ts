import { createInterface } from 'node:readline';

/**
 * A program's conversation with the bench: it says that it is ready, answers every line of JSON on stdin with
 * what it measured, and exits in order on SIGTERM, so that a profile is written.
 */
export async function answer<Request>(measure: (request: Request) => Promise<object>): Promise<void> {
  process.once('SIGTERM', () => process.exit(0));
  console.log('ready');
  for await (const line of createInterface({ input: process.stdin })) {
    console.log(`measured ${JSON.stringify(await measure(JSON.parse(line) as Request))}`);
  }
}

/**
 * For programs that only serve others: they answer with the processor time that they have taken so far, and
 * with what else they count.
 */
export async function serve(counted: () => object = () => ({})): Promise<void> {
  await answer(async () => ({ cpuUs: processorUs(), ...counted() }));
}

/** Processor time of all of this process's threads: also the garbage collector's and the compiler's. */
export function processorUs(): number {
  const { user, system } = process.cpuUsage();
  return user + system;
}

/** What the bench put into the environment. */
export function setting(name: string): string {
  const value = process.env[name];
  if (value === undefined) throw new Error(`${name} is not set: this program is started by the bench`);
  return value;
}
