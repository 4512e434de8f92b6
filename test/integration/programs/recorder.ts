import { closeSync, openSync, writeSync } from 'node:fs';
import type { RuntimeEvent } from 'granary';
import type { NodeAddress } from '../../../framework/identity/silo-address.ts';
import { machineNow } from '../../support/machine-clock.ts';

/**
 * One line of a history file. A file is one node's; the line that names it comes when the node knows its
 * address, after its first events.
 */
export type HistoryLine =
  | { readonly node: NodeAddress }
  | { readonly at: number; readonly event: RuntimeEvent };

/**
 * Writes what a node tells into a file, each event before the runtime goes on. So a history is never behind
 * what the node has done: it is complete up to the moment of a `kill -9`, as the system keeps what a process
 * has written. What a store did and the process did not live to hear of, the database's own log tells.
 */
export class Recorder {
  readonly #file: number;

  constructor(path: string) {
    this.#file = openSync(path, 'a');
  }

  readonly record = (event: RuntimeEvent): void => {
    this.#write({ at: machineNow(), event });
  };

  name(node: NodeAddress): void {
    this.#write({ node });
  }

  close(): void {
    closeSync(this.#file);
  }

  #write(line: HistoryLine): void {
    writeSync(this.#file, `${JSON.stringify(line, plain)}\n`);
  }
}

/** Errors as values, which JSON knows. */
function plain(_key: string, value: unknown): unknown {
  if (typeof value === 'bigint') return `${value}`;
  if (!(value instanceof Error)) return value;
  const { name, message } = value;
  return { ...value, name, message };
}
