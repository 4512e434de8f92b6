import { PerformanceObserver } from 'node:perf_hooks';
import { Silo } from 'granary';
import { KeptCounter } from './grains.ts';
import { callsPerSecond, pacedTimes } from './load.ts';
import { answer } from './session.ts';

interface Request {
  /** Activations that are there; made before the first measurement. */
  readonly count: number;
  readonly perSecond: number;
  readonly ms: number;
}

/** Milliseconds of the garbage collector's stops since it was last asked. */
class Pauses {
  readonly #observer = new PerformanceObserver((list) => this.#see(list.getEntries()));
  #longest = 0;

  constructor() {
    this.#observer.observe({ entryTypes: ['gc'] });
  }

  async longestMs(): Promise<number> {
    await new Promise((resolve) => setTimeout(resolve, 10)); // Entries come in a later task.
    this.#see(this.#observer.takeRecords());
    const longest = this.#longest;
    this.#longest = 0;
    return longest;
  }

  #see(entries: readonly { duration: number }[]): void {
    for (const { duration } of entries) this.#longest = Math.max(this.#longest, duration);
  }
}

/**
 * Local calls of random grains among many that idle: first at a fixed rate, each timed, then as many as there
 * may be.
 */
const silo = await Silo.start({ grains: [KeptCounter] });
const pauses = new Pauses();
let makingPauseMs = 0;

await answer(async ({ count, perSecond, ms }: Request) => {
  const call = (random: number) => silo.grain(KeptCounter, random % count).increment(1);
  if (silo.activations === 0) {
    for (let key = 0; key < count; key++) {
      await call(key);
      // Timers, and the collector of idle activations, have their turn as they do in a server.
      if (key % 1_000 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    makingPauseMs = await pauses.longestMs();
  }
  await pauses.longestMs();
  const times = await pacedTimes({ perSecond, ms }, call);
  const rate = await callsPerSecond({ callers: 64, ms }, call);
  if (silo.activations !== count) throw new Error('not all that was made is there');
  return { ...rate, ...times, pauseMs: await pauses.longestMs(), makingPauseMs };
});
