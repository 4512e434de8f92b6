import { processorUs } from './session.ts';

export interface Load {
  /** Loops that each await one call after the other. */
  readonly callers: number;
  readonly ms: number;
}

/** How many calls were made, at what rate, and the processor time that this process took for all of them. */
export interface Rate {
  readonly perSecond: number;
  readonly calls: number;
  readonly cpuUs: number;
}

export interface Times {
  readonly medianUs: number;
  readonly p99Us: number;
}

/** Looking at the clock costs about as much as a plain async call: it is done once in so many calls. */
const CALLS_PER_LOOK = 256;

/**
 * Lets all callers call for a while. Each call gets the caller's number and a number that looks random,
 * always in the same order.
 */
export async function callsPerSecond(
  { callers, ms }: Load,
  call: (random: number, caller: number) => Promise<unknown>,
): Promise<Rate> {
  let calls = 0;
  let running = true;
  const rate = rated();
  const start = performance.now();
  const loop = async (caller: number): Promise<void> => {
    let random = Math.imul(caller + 1, 0x9e3779b1) >>> 0;
    while (running) {
      random = (Math.imul(random, 1_664_525) + 1_013_904_223) >>> 0;
      await call(random >>> 8, caller);
      if (++calls % CALLS_PER_LOOK === 0 && performance.now() - start > ms) running = false;
    }
  };
  await Promise.all(Array.from({ length: callers }, (_, caller) => loop(caller)));
  return rate(calls);
}

/** One call at a time: what the median and the slowest hundredth take, in microseconds. */
export async function callTimes(
  ms: number,
  call: (random: number) => Promise<unknown>,
): Promise<Rate & Times> {
  const times: number[] = [];
  const rate = rated();
  const start = performance.now();
  for (let before = start; before - start < ms; ) {
    await call(times.length);
    const after = performance.now();
    times.push((after - before) * 1_000);
    before = after;
  }
  return { ...rate(times.length), ...quantiles(times) };
}

/** Sorts them. */
export function quantiles(times: number[]): Times {
  times.sort((a, b) => a - b);
  const at = (share: number) => times[Math.floor(times.length * share)] as number;
  return { medianUs: at(0.5), p99Us: at(0.99) };
}

/** All of `count` calls, `callers` at a time, each with its own number. */
export async function allPerSecond(
  { callers, count }: { callers: number; count: number },
  call: (index: number) => Promise<unknown>,
): Promise<Rate> {
  let next = 0;
  const rate = rated();
  const loop = async (): Promise<void> => {
    while (next < count) await call(next++);
  };
  await Promise.all(Array.from({ length: callers }, loop));
  return rate(count);
}

/** Starts to measure; returns what ends it. */
function rated(): (calls: number) => Rate {
  const [start, cpuBefore] = [performance.now(), processorUs()];
  return (calls) => ({
    perSecond: (calls * 1_000) / (performance.now() - start),
    calls,
    cpuUs: processorUs() - cpuBefore,
  });
}

/**
 * Calls at a fixed rate, as if by callers who know nothing of each other: each is timed from the moment when
 * it was due, so that what stops the process counts for all calls that it keeps waiting. Between the calls it
 * makes next to no garbage and keeps nothing of them: turning the event loop until the next is due made
 * seven times as much as the calls, so what was measured was mostly the collection of that.
 */
export async function pacedTimes(
  { perSecond, ms }: { perSecond: number; ms: number },
  call: (random: number) => Promise<unknown>,
): Promise<Times> {
  const times: number[] = [];
  const spacing = 1_000 / perSecond;
  const turn = (resolve: () => void) => void setImmediate(resolve);
  const start = performance.now();
  let made = 0;
  let random = 1;
  const one = async (due: number): Promise<void> => {
    random = (Math.imul(random, 1_664_525) + 1_013_904_223) >>> 0;
    await call(random >>> 8);
    times.push((performance.now() - due) * 1_000);
  };
  for (let due = start; due < start + ms || times.length < made; await new Promise<void>(turn)) {
    spinUntil(Math.min(due, start + ms));
    for (; due < Math.min(performance.now(), start + ms); due += spacing, made++) void one(due);
  }
  return quantiles(times);
}

/** A look at the clock makes an object, so it looks only every few microseconds. */
function spinUntil(moment: number): void {
  while (performance.now() < moment) for (let i = 0; i < 6_000; i++) spun = (spun + i) | 0;
}
let spun = 0;
