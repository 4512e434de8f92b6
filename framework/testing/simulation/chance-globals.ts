import nodeCrypto from 'node:crypto';
import type { Host } from './host.ts';
import type { Replacements } from './replacements.ts';

type Answered = (error: Error | null, result: unknown) => void;

export function replaceChance(replacements: Replacements): void {
  replacements.inside(Math, 'random', (host) => () => host.random.next());
  for (const holder of [globalThis.crypto, nodeCrypto]) {
    replacements.inside(holder, 'randomUUID', (host) => () => uuid(host));
  }
  replacements.inside(globalThis.crypto, 'getRandomValues', (host) => (array) => fill(host, array));
  replacements.inside(
    nodeCrypto,
    'randomBytes',
    (host) => (length: number, answered?: Answered) =>
      answer(host, fill(host, Buffer.alloc(length)), answered),
  );
  replacements.inside(
    nodeCrypto,
    'randomFillSync',
    (host) => (array, from?: number, length?: number) => fill(host, array, from, length),
  );
  replacements.inside(nodeCrypto, 'randomFill', (host) => (array, ...rest: unknown[]) => {
    const [from, length] = rest.slice(0, -1) as number[];
    answer(host, fill(host, array, from, length), rest.at(-1) as Answered);
  });
  replacements.inside(
    nodeCrypto,
    'randomInt',
    (host) => (one: number, other?: number | Answered, answered?: Answered) => {
      const [min, max] = typeof other === 'number' ? [one, other] : [0, one];
      const drawn = min + host.random.below(max - min);
      return answer(host, drawn, typeof other === 'function' ? other : answered);
    },
  );
}

/** At once, or to a callback, as it was asked. */
function answer(host: Host, result: unknown, answered: Answered | undefined): unknown {
  if (!answered) return result;
  host.soon(() => answered(null, result));
  return undefined;
}

/** `from` and `length` count elements. */
function fill<A extends NodeJS.TypedArray>(host: Host, array: A, from = 0, length = array.length - from): A {
  const size = array.BYTES_PER_ELEMENT;
  const bytes = new Uint8Array(array.buffer, array.byteOffset + from * size, length * size);
  for (let i = 0; i < bytes.length; i++) bytes[i] = host.random.bits() & 255;
  return array;
}

function uuid(host: Host): string {
  const drawn = fill(host, Buffer.alloc(16));
  drawn[6] = ((drawn[6] as number) & 0x0f) | 0x40;
  drawn[8] = ((drawn[8] as number) & 0x3f) | 0x80;
  const hex = drawn.toString('hex');
  return [0, 8, 12, 16, 20].map((at, i, all) => hex.slice(at, all[i + 1])).join('-');
}
