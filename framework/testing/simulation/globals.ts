import { replaceChance } from './chance-globals.ts';
import { currentHost } from './host.ts';
import { Replacements } from './replacements.ts';
import { replaceTimers } from './timer-globals.ts';

/**
 * Time and chance as everybody reaches them, `Date.now()` or `crypto.randomUUID()`, also in the grains of
 * users: inside of a simulation they are the simulation's. Each replacement asks whose code it runs for; code
 * outside of a simulation gets the original, so other work of the process goes on undisturbed.
 */

const replacements = new Replacements();
let users = 0;

/** Takes the globals over, until the returned function is called. Simulations may overlap. */
export function ownGlobals(): () => void {
  if (++users === 1) {
    replaceClocks(replacements);
    replaceTimers(replacements);
    replaceChance(replacements);
    replacements.publish();
  }
  let owned = true;
  return () => {
    if (!owned) return;
    owned = false;
    if (--users === 0) replacements.undo();
  };
}

function replaceClocks(replacements: Replacements): void {
  const RealDate = Date;
  replacements.inside(RealDate, 'now', (host) => () => host.clock.wallNow());
  // A date is a date, wherever it was made: there is one prototype. Only what time it is, is another.
  const SimulatedDate: DateConstructor = new Proxy(RealDate, {
    construct: (real, args, target): object => {
      const host = currentHost();
      const which = host && args.length === 0 ? [host.clock.wallNow()] : args;
      return Reflect.construct(real, which, target === SimulatedDate ? real : target);
    },
    apply: () => new SimulatedDate().toString(),
  });
  replacements.set(RealDate.prototype, 'constructor', SimulatedDate);
  replacements.set(globalThis, 'Date', SimulatedDate);
  replacements.inside(performance, 'now', (host) => () => host.clock.now());
  const { bigint } = process.hrtime;
  replacements.inside(process, 'hrtime', (host) => (before?: [number, number]) => {
    const nanos = Math.round(host.clock.now() * 1e6) - (before ? before[0] * 1e9 + before[1] : 0);
    return [Math.floor(nanos / 1e9), nanos % 1e9];
  });
  process.hrtime.bigint = () => {
    const host = currentHost();
    return host ? BigInt(Math.round(host.clock.now() * 1e6)) : bigint();
  };
}
