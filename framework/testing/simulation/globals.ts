import nodeCrypto from 'node:crypto';
import { syncBuiltinESMExports } from 'node:module';
import nodeTimers from 'node:timers';
import timersPromises from 'node:timers/promises';
import { sleep } from '../../system/clock.ts';
import { currentHost, type Host } from './host.ts';

/**
 * Time and chance as everybody reaches them, `Date.now()` or `crypto.randomUUID()`, also in the grains of
 * users: inside of a simulation they are the simulation's. Each replacement asks whose code it runs for; code
 * outside of a simulation gets the original, so other work of the process goes on undisturbed.
 */

type Callable = (...args: never[]) => unknown;
type Inside = (host: Host) => Callable;

let users = 0;
let restore: (() => void)[] = [];

/** Takes the globals over, until the returned function is called. Simulations may overlap. */
export function ownGlobals(): () => void {
  if (++users === 1) {
    replaceClocks();
    replaceTimers();
    replaceChance();
    syncBuiltinESMExports();
  }
  let owned = true;
  return () => {
    if (!owned) return;
    owned = false;
    if (--users > 0) return;
    for (const undo of restore.reverse()) undo();
    restore = [];
    syncBuiltinESMExports();
  };
}

function replace(holder: object, name: string, inside: Inside): void {
  const original = Reflect.get(holder, name) as Callable;
  const replacement = function (this: unknown, ...args: never[]): unknown {
    const host = currentHost();
    return host ? inside(host)(...args) : Reflect.apply(original, this, args);
  };
  set(holder, name, Object.assign(replacement, original));
}

function set(holder: object, name: string, value: unknown): void {
  const before = Object.getOwnPropertyDescriptor(holder, name);
  Object.defineProperty(holder, name, { value, configurable: true, writable: true, enumerable: true });
  restore.push(() => {
    if (before) Object.defineProperty(holder, name, before);
    else Reflect.deleteProperty(holder, name);
  });
}

function replaceClocks(): void {
  const RealDate = Date;
  class SimulatedDate extends RealDate {
    constructor(...args: [] | [number]) {
      const host = currentHost();
      if (host && args.length === 0) super(host.clock.wallNow());
      else super(...(args as [number]));
    }

    static override now(): number {
      return currentHost()?.clock.wallNow() ?? RealDate.now();
    }
  }
  // `Date()` without `new`, and what RealDate made, stay dates.
  const callable = new Proxy(SimulatedDate, {
    apply: () => new SimulatedDate().toString(),
  });
  Object.defineProperty(SimulatedDate, Symbol.hasInstance, {
    value: (it: unknown) => it instanceof RealDate,
  });
  set(globalThis, 'Date', callable);
  replace(performance, 'now', (host) => () => host.clock.now());
  const bigint = process.hrtime.bigint;
  replace(process, 'hrtime', (host) => (before?: [number, number]) => {
    const nanos = Math.round(host.clock.now() * 1e6) - (before ? before[0] * 1e9 + before[1] : 0);
    return [Math.floor(nanos / 1e9), nanos % 1e9];
  });
  (process.hrtime as typeof process.hrtime).bigint = () => {
    const host = currentHost();
    return host ? BigInt(Math.round(host.clock.now() * 1e6)) : bigint();
  };
}

/** What `setTimeout` returns. */
class SimulatedTimeout {
  readonly #host: Host;
  readonly #delayMs: number;
  readonly #callback: () => void;
  readonly #repeats: boolean;
  #timer: { cancel(): void } | undefined;

  constructor(host: Host, callback: () => void, delayMs: unknown, repeats: boolean) {
    this.#host = host;
    this.#callback = callback;
    this.#delayMs = Number(delayMs) >= 1 ? Number(delayMs) : 1;
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

function replaceTimers(): void {
  const timeout =
    (repeats: boolean) =>
    (host: Host) =>
    (callback: Callable, delayMs: unknown, ...args: never[]) =>
      new SimulatedTimeout(host, () => callback(...args), delayMs, repeats);
  const immediate =
    (host: Host) =>
    (callback: Callable, ...args: never[]) => {
      const at = {
        cancel: () => {},
        close: () => at.cancel(),
        ref: () => at,
        unref: () => at,
        hasRef: () => true,
      };
      at.cancel = host.soon(() => callback(...args));
      return at;
    };
  for (const holder of [globalThis, nodeTimers]) {
    replace(holder, 'setTimeout', timeout(false));
    replace(holder, 'setInterval', timeout(true));
    replace(holder, 'setImmediate', immediate);
    for (const name of ['clearTimeout', 'clearInterval', 'clearImmediate']) replaceClear(holder, name);
  }
  const wait =
    (host: Host) => async (delayMs: unknown, value?: unknown, options?: { signal?: AbortSignal }) => {
      await sleep(host.clock, Number(delayMs) || 1, options?.signal);
      options?.signal?.throwIfAborted();
      return value;
    };
  replace(timersPromises, 'setTimeout', wait);
  replace(timersPromises, 'setImmediate', (host) => (value?: unknown) => wait(host)(0, value));
  replace(
    timersPromises,
    'setInterval',
    (host) =>
      async function* (delayMs: unknown, value?: unknown) {
        for (;;) {
          await wait(host)(delayMs);
          yield value;
        }
      },
  );
  replace(
    timersPromises.scheduler,
    'wait',
    (host) => (delayMs: unknown, options?: { signal?: AbortSignal }) =>
      wait(host)(delayMs, undefined, options),
  );
  replace(AbortSignal, 'timeout', (host) => (delayMs: number) => {
    const controller = new AbortController();
    host.timer(delayMs, () => controller.abort(new DOMException('The operation timed out.', 'TimeoutError')));
    return controller.signal;
  });
}

/** A timer is cleared by whose it is, not by whose code clears it. */
function replaceClear(holder: object, name: string): void {
  const original = Reflect.get(holder, name) as (timer: unknown) => void;
  set(holder, name, (timer: unknown) => {
    const simulated = timer as { cancel?: () => void } | undefined;
    if (timer instanceof SimulatedTimeout) timer.close();
    else if (typeof simulated?.cancel === 'function') simulated.cancel();
    else original(timer);
  });
}

function replaceChance(): void {
  const bytes = (host: Host, length: number) => {
    const drawn = Buffer.alloc(length);
    for (let i = 0; i < length; i++) drawn[i] = host.random.bits() & 255;
    return drawn;
  };
  const fill = (host: Host) => (array: ArrayBufferView) => {
    const view = new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
    view.set(bytes(host, view.length));
    return array;
  };
  const uuid = (host: Host) => () => {
    const drawn = bytes(host, 16);
    drawn[6] = ((drawn[6] as number) & 0x0f) | 0x40;
    drawn[8] = ((drawn[8] as number) & 0x3f) | 0x80;
    const hex = drawn.toString('hex');
    return [0, 8, 12, 16, 20].map((at, i, all) => hex.slice(at, all[i + 1])).join('-');
  };
  const whole = (host: Host) => (min: number, max?: number) =>
    max === undefined ? host.random.below(min) : min + host.random.below(max - min);
  replace(Math, 'random', (host) => () => host.random.next());
  replace(globalThis.crypto, 'randomUUID', uuid);
  replace(globalThis.crypto, 'getRandomValues', fill);
  replace(nodeCrypto, 'randomUUID', uuid);
  replace(nodeCrypto, 'randomBytes', (host) => (length: number) => bytes(host, length));
  replace(nodeCrypto, 'randomFillSync', fill);
  replace(nodeCrypto, 'randomInt', whole);
}
