import { nodeName } from '../../identity/silo-address.ts';
import type { Observation } from '../invariants/observation.ts';

/** Entries that are kept, for the report of a failure. */
const KEPT = 400;

/** The last things that happened, as lines that people can read. */
export class History {
  readonly #kept: { readonly at: number; readonly what: Observation | string }[] = [];
  readonly #trace: ((line: string) => void) | undefined;
  #next = 0;

  constructor(trace: ((line: string) => void) | undefined) {
    this.#trace = trace;
  }

  see(observation: Observation): void {
    this.#keep(observation.at, observation);
  }

  note(at: number, text: string): void {
    this.#keep(at, text);
  }

  /** The last entries, the oldest first. */
  last(count: number): string[] {
    const all = [...this.#kept.slice(this.#next), ...this.#kept.slice(0, this.#next)];
    return all.slice(-count).map(({ at, what }) => line(at, what));
  }

  #keep(at: number, what: Observation | string): void {
    this.#kept[this.#next] = { at, what };
    this.#next = (this.#next + 1) % KEPT;
    this.#trace?.(line(at, what));
  }
}

function line(at: number, what: Observation | string): string {
  const time = `${at.toFixed(3).padStart(12)} ms`;
  if (typeof what === 'string') return `${time}  --- ${what}`;
  const { type, ...fields } = what.event;
  const said = Object.entries(fields).map(([name, value]) => `${name}=${brief(value)}`);
  return `${time}  ${nodeName(what.node || '~').padEnd(8)} ${type} ${said.join(' ')}`;
}

function brief(value: unknown): string {
  if (value instanceof Error) return `${value.name}: ${value.message}`.slice(0, 120);
  return typeof value === 'string' ? value : (JSON.stringify(value) ?? 'none');
}
