import { type ParseArgsConfig, parseArgs } from 'node:util';
import { ServerMissing } from '../support/binaries.ts';
import { stopPrograms } from '../support/processes.ts';

/** The user asked for what cannot be done; the message is all that there is to say. */
export class WrongInput extends Error {}

/** The command line. One that cannot be understood ends the process. */
export function parsed<T extends ParseArgsConfig>(config: T): ReturnType<typeof parseArgs<T>> {
  try {
    return parseArgs(config);
  } catch (error) {
    console.error(`${firstLine(error)}; see --help`);
    return process.exit(1);
  }
}

/** Runs a command, and ends what it started. What the user can put right is told in a line, with no stack. */
export async function run(command: () => Promise<void>): Promise<void> {
  try {
    await command();
  } catch (error) {
    if (!(error instanceof WrongInput || error instanceof ServerMissing)) throw error;
    console.error(firstLine(error));
    process.exitCode = 1;
  } finally {
    await stopPrograms();
  }
}

function firstLine(error: unknown): string {
  const text = error instanceof Error ? error.message : `${error}`;
  return text.split('\n', 1)[0]?.replace(/\.$/, '') ?? '';
}
