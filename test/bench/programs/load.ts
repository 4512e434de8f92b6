export interface Load {
  /** Loops that each await one call after the other. */
  readonly callers: number;
  readonly ms: number;
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
): Promise<{ perSecond: number }> {
  let calls = 0;
  let running = true;
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
  return { perSecond: (calls * 1_000) / (performance.now() - start) };
}

/** One call at a time: what the median and the slowest hundredth take, in microseconds. */
export async function callTimes(
  ms: number,
  call: (random: number) => Promise<unknown>,
): Promise<{ medianUs: number; p99Us: number }> {
  const times: number[] = [];
  const start = performance.now();
  for (let before = start; before - start < ms; ) {
    await call(times.length);
    const after = performance.now();
    times.push((after - before) * 1_000);
    before = after;
  }
  times.sort((a, b) => a - b);
  const at = (share: number) => times[Math.floor(times.length * share)] as number;
  return { medianUs: at(0.5), p99Us: at(0.99) };
}

/** All of `count` calls, `callers` at a time, each with its own number. */
export async function allPerSecond(
  { callers, count }: { callers: number; count: number },
  call: (index: number) => Promise<unknown>,
): Promise<{ perSecond: number }> {
  let next = 0;
  const start = performance.now();
  const loop = async (): Promise<void> => {
    while (next < count) await call(next++);
  };
  await Promise.all(Array.from({ length: callers }, loop));
  return { perSecond: (count * 1_000) / (performance.now() - start) };
}
