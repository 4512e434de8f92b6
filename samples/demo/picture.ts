import type { Bank } from './bank.ts';
import type { Stage } from './stage.ts';

const BAR = 36;
const REDRAW_MS = 200;
const LINE_MS = 1_000;
/** What has happened stays on the screen up to here. */
const TOLD_LINES = 12;

/** Where the picture goes: `process.stdout`, or a test. */
export interface Screen {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

/**
 * Shows the demo while it runs: on a terminal a picture that is drawn anew a few times a second, elsewhere a
 * line each second.
 */
export class Picture {
  readonly #stage: Stage;
  readonly #bank: Bank;
  readonly #screen: Screen;
  readonly #live: boolean;
  readonly #start = performance.now();
  readonly #timer: NodeJS.Timeout;
  readonly #told: string[] = [];
  #drawn = 0;
  #rate = { at: performance.now(), calls: 0, perSecond: 0 };

  constructor(stage: Stage, bank: Bank, screen: Screen, plain: boolean) {
    this.#stage = stage;
    this.#bank = bank;
    this.#screen = screen;
    this.#live = screen.isTTY === true && !plain;
    this.#timer = setInterval(() => this.#show(), this.#live ? REDRAW_MS : LINE_MS);
  }

  readonly tell = (text: string): void => {
    const line = `${this.#clock()}  ${text}`;
    this.#told.push(line);
    if (this.#live) this.#draw();
    else this.#screen.write(`${line}\n`);
  };

  /** Shows how it ended, and shows nothing more. */
  end(): void {
    clearInterval(this.#timer);
    this.#show();
  }

  #show(): void {
    this.#measure();
    if (this.#live) this.#draw();
    else this.#screen.write(`${this.#clock()}  ${this.#numbers()}; accounts on ${this.#places()}\n`);
  }

  #measure(): void {
    const { at, calls } = this.#rate;
    const now = performance.now();
    const sinceMs = now - at;
    if (sinceMs < LINE_MS / 2) return;
    const perSecond = Math.round(((this.#bank.calls - calls) / sinceMs) * 1000);
    this.#rate = { at: now, calls: this.#bank.calls, perSecond };
  }

  #draw(): void {
    const lines = [
      ...[...this.#stage.silos].map(([silo, state]) => {
        const accounts = this.#stage.places.count(silo);
        const bar = '█'.repeat(Math.round((accounts / this.#bank.accounts.length) * BAR));
        const count = grouped(accounts).padStart(6);
        return `  ${silo.padEnd(12)} ${state.padEnd(8)} ${bar.padEnd(BAR)} ${count} accounts`;
      }),
      '',
      `${this.#clock()}  ${this.#numbers()}`,
      '',
      ...this.#told.slice(-TOLD_LINES),
    ];
    // A line that wraps would be two, and the next picture would begin in the wrong place.
    const fitting = lines.map((line) => line.slice(0, this.#screen.columns ?? 80));
    const back = this.#drawn > 0 ? `\x1b[${this.#drawn}A\x1b[0J` : '';
    this.#screen.write(`${back}${fitting.join('\n')}\n`);
    this.#drawn = lines.length;
  }

  #numbers(): string {
    const { transfers } = this.#bank;
    const { moves } = this.#stage.places;
    const { perSecond } = this.#rate;
    return (
      `${grouped(transfers)} transfers, ${grouped(perSecond)} calls/s, ` +
      `${grouped(moves)} moves, ${grouped(this.#stage.retried)} calls tried again`
    );
  }

  #places(): string {
    return [...this.#stage.silos]
      .map(
        ([silo, state]) =>
          `${silo} ${grouped(this.#stage.places.count(silo))}${state === 'up' ? '' : ` (${state})`}`,
      )
      .join(', ');
  }

  #clock(): string {
    return `${((performance.now() - this.#start) / 1000).toFixed(1).padStart(5)} s`;
  }
}

export function grouped(value: number): string {
  return value.toLocaleString('en-US');
}
