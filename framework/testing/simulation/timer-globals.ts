import nodeTimers from 'node:timers';
import timersPromises from 'node:timers/promises';
import { promisify } from 'node:util';
import { sleep } from '../../system/clock.ts';
import type { Host } from './host.ts';
import type { Callable, Replacements } from './replacements.ts';

/** As in Node.js: a longer delay is none. */
const LONGEST_MS = 2 ** 31 - 1;

/** What every timer of Node.js can do. Virtual time keeps no process alive: `ref` and `unref` do nothing. */
abstract class SimulatedTimer {
  abstract close(): void;

  ref(): this {
    return this;
  }

  unref(): this {
    return this;
  }

  hasRef(): boolean {
    return true;
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** What `setTimeout` and `setInterval` return. */
class SimulatedTimeout extends SimulatedTimer {
  readonly #host: Host;
  readonly #delayMs: number;
  readonly #callback: () => void;
  readonly #repeats: boolean;
  #timer: { cancel(): void } | undefined;

  constructor(host: Host, callback: () => void, delayMs: unknown, repeats: boolean) {
    super();
    const delay = Number(delayMs);
    this.#host = host;
    this.#delayMs = delay >= 1 && delay <= LONGEST_MS ? delay : 1;
    this.#callback = callback;
    this.#repeats = repeats;
    this.refresh();
  }

  refresh(): this {
    this.#timer?.cancel();
    this.#timer = this.#host.timer(this.#delayMs, () => {
      if (this.#repeats) this.refresh();
      this.#callback();
    });
    return this;
  }

  close(): this {
    this.#timer?.cancel();
    return this;
  }
}

/** What `setImmediate` returns. */
class SimulatedImmediate extends SimulatedTimer {
  readonly #cancel: () => void;

  constructor(host: Host, callback: () => void) {
    super();
    this.#cancel = host.soon(callback);
  }

  close(): void {
    this.#cancel();
  }
}

interface WaitOptions {
  readonly signal?: AbortSignal;
}

export function replaceTimers(replacements: Replacements): void {
  const timeout =
    (repeats: boolean) =>
    (host: Host) =>
    (callback: Callable, delayMs: unknown, ...args: unknown[]) =>
      new SimulatedTimeout(host, () => callback(...args), delayMs, repeats);
  const immediate =
    (host: Host) =>
    (callback: Callable, ...args: unknown[]) =>
      new SimulatedImmediate(host, () => callback(...args));
  for (const holder of [globalThis, nodeTimers]) {
    replacements.inside(holder, 'setTimeout', timeout(false));
    replacements.inside(holder, 'setInterval', timeout(true));
    replacements.inside(holder, 'setImmediate', immediate);
    for (const name of ['clearTimeout', 'clearInterval', 'clearImmediate']) {
      replaceClear(replacements, holder, name);
    }
    promisifies(holder.setTimeout, () => timersPromises.setTimeout);
    promisifies(holder.setImmediate, () => timersPromises.setImmediate);
  }
  replacePromises(replacements);
  // Nobody waits for it: it is no timer that a silo might leave behind.
  replacements.inside(AbortSignal, 'timeout', (host) => (delayMs: number) => {
    const controller = new AbortController();
    const reason = new DOMException('The operation was aborted due to timeout', 'TimeoutError');
    host.arrival(Math.max(delayMs, 1), () => controller.abort(reason));
    return controller.signal;
  });
}

/** A timer is cleared by whose it is, not by whose code clears it. */
function replaceClear(replacements: Replacements, holder: object, name: string): void {
  const original = Reflect.get(holder, name) as (timer: unknown) => void;
  replacements.set(holder, name, (timer: unknown) => {
    if (timer instanceof SimulatedTimer) timer.close();
    else original(timer);
  });
}

/** What `promisify` makes of it. */
function promisifies(replaced: object, get: () => unknown): void {
  Object.defineProperty(replaced, promisify.custom, { get, enumerable: true, configurable: true });
}

function replacePromises(replacements: Replacements): void {
  const wait = (host: Host) => async (delayMs: unknown, value?: unknown, options?: WaitOptions) => {
    const signal = options?.signal;
    await sleep(host.clock, Number(delayMs) || 1, signal);
    if (!signal?.aborted) return value;
    const error = new Error('The operation was aborted', { cause: signal.reason });
    throw Object.assign(error, { name: 'AbortError', code: 'ABORT_ERR' });
  };
  const soon = (host: Host) => (value?: unknown) =>
    new Promise((resolve) => void host.soon(() => resolve(value)));
  replacements.inside(timersPromises, 'setTimeout', wait);
  replacements.inside(timersPromises, 'setImmediate', soon);
  replacements.inside(
    timersPromises,
    'setInterval',
    (host) =>
      async function* (delayMs: unknown, value?: unknown, options?: WaitOptions) {
        for (;;) yield await wait(host)(delayMs, value, options);
      },
  );
  const { scheduler } = timersPromises;
  replacements.inside(scheduler, 'yield', soon);
  replacements.inside(
    scheduler,
    'wait',
    (host) => (delayMs: unknown, options?: WaitOptions) => wait(host)(delayMs, undefined, options),
  );
}
