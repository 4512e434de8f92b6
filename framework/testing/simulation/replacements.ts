import { syncBuiltinESMExports } from 'node:module';
import { currentHost, type Host } from './host.ts';

// biome-ignore lint/suspicious/noExplicitAny: a function of any kind, which is called as the original is.
export type Callable = (...args: any[]) => unknown;

/** Properties of Node.js's own objects that are exchanged for a while. */
export class Replacements {
  readonly #undo: (() => void)[] = [];

  /** Code of a host gets what `inside` makes for it; code outside of any simulation the original. */
  inside(holder: object, name: string, inside: (host: Host) => Callable): void {
    const original = Reflect.get(holder, name) as Callable;
    const replacement = function (this: unknown, ...args: unknown[]): unknown {
      const host = currentHost();
      return host ? inside(host)(...args) : Reflect.apply(original, this, args);
    };
    this.set(holder, name, Object.assign(replacement, original));
  }

  set(holder: object, name: string, value: unknown): void {
    const before = Object.getOwnPropertyDescriptor(holder, name);
    const enumerable = before?.enumerable ?? false;
    Object.defineProperty(holder, name, { value, enumerable, configurable: true, writable: true });
    this.#undo.push(() => {
      if (before) Object.defineProperty(holder, name, before);
      else Reflect.deleteProperty(holder, name);
    });
  }

  /** To call after a change: named imports of Node.js's modules follow it. */
  publish(): void {
    syncBuiltinESMExports();
  }

  undo(): void {
    for (const undo of this.#undo.splice(0).reverse()) undo();
    this.publish();
  }
}
