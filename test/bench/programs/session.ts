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

/** For programs that only serve others. */
export function ready(): void {
  process.once('SIGTERM', () => process.exit(0));
  console.log('ready');
}

/** What the bench put into the environment. */
export function setting(name: string): string {
  const value = process.env[name];
  if (value === undefined) throw new Error(`${name} is not set: this program is started by the bench`);
  return value;
}
