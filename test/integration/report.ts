import { median } from '../support/median.ts';
import type { Books } from './books.ts';

export interface Recovery {
  readonly scenario: string;
  /** What took how long, in milliseconds; of several runs, all of them. */
  readonly times: Readonly<Record<string, number | readonly number[]>>;
  readonly books: readonly Books[];
  /** Length of the history that was checked. */
  readonly events: number;
}

/** Prints what a fault cost: one line of one form for each scenario. */
export function report({ scenario, times, books, events }: Recovery): void {
  const took = Object.entries(times).map(
    ([what, ms]) => `${what} ${typeof ms === 'number' ? whole(ms) : range(ms)} ms`,
  );
  const calls = books.reduce((sum, each) => sum + each.calls, 0);
  const failures = books.reduce((sum, each) => sum + each.failures.length, 0);
  console.log(
    `recovery from ${scenario}: ${[...took, `${failures} of ${calls} calls failed`].join('; ')}; ` +
      `${events} events checked`,
  );
}

function range(values: readonly number[]): string {
  const [least, most] = [Math.min(...values), Math.max(...values)];
  return `${whole(least)} to ${whole(most)} (median ${whole(median(values))})`;
}

function whole(ms: number): string {
  return ms.toFixed(0);
}
