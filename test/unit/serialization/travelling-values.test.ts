import { deepStrictEqual, notStrictEqual, strictEqual, throws } from 'node:assert/strict';
import vm from 'node:vm';
import fc from 'fast-check';
import { Unpackr } from 'msgpackr';
import { describe, expect, it } from 'vitest';
import { NotSerializableError, PayloadTooLargeError } from '../../../framework/errors.ts';
import { LIMITS } from '../../../framework/limits.ts';
import { copy, immutable, isInline, pack, unpack } from '../../../framework/serialization/codec.ts';
import { arbitraryValue } from './arbitrary-value.ts';

/** Both ways that a value travels: within a process and between two. They must not differ. */
const WAYS: [string, (value: unknown, path?: string) => unknown][] = [
  ['copied', (value, path = 'args[0]') => copy(value, path)],
  ['packed', (value, path = 'args[0]') => unpack(pack(value, path))],
];

describe.each(WAYS)('a value that is %s', (_name, travel) => {
  it('arrives equal to the original, whatever it is', () => {
    fc.assert(
      fc.property(arbitraryValue, (value) => deepStrictEqual(travel(value), value)),
      { numRuns: 500 },
    );
  });

  it('shares nothing with the original', () => {
    const inner = {
      list: [1, { deep: true }],
      map: new Map([['k', new Set([{ a: 1 }])]]),
      date: new Date(5),
      bytes: new Uint8Array([1, 2]),
    };
    const arrived = travel(inner) as typeof inner;
    inner.list.push(2);
    (inner.list[1] as { deep: boolean }).deep = false;
    inner.map.get('k')?.clear();
    inner.date.setTime(9);
    inner.bytes[0] = 7;
    deepStrictEqual(arrived, {
      list: [1, { deep: true }],
      map: new Map([['k', new Set([{ a: 1 }])]]),
      date: new Date(5),
      bytes: new Uint8Array([1, 2]),
    });
  });

  it('keeps a window of a larger buffer, and only that', () => {
    const buffer = new ArrayBuffer(64);
    new Uint8Array(buffer).fill(9);
    const arrived = travel([
      new Int32Array(buffer, 4, 2),
      new DataView(buffer, 3, 5),
      new Uint8Array(buffer, 1, 3),
    ]) as [Int32Array, DataView, Uint8Array];
    deepStrictEqual(arrived[0], new Int32Array([0x09090909, 0x09090909]));
    strictEqual(arrived[1].byteLength, 5);
    deepStrictEqual(
      arrived.map((view) => view.buffer.byteLength),
      [8, 5, 3],
    );
  });

  it('is normalized: holes, accessors, buffers, null prototypes, hidden fields', () => {
    // biome-ignore lint/suspicious/noSparseArray: a hole is the point
    deepStrictEqual(travel([1, , 2]), [1, undefined, 2]);
    deepStrictEqual(
      travel({
        get now() {
          return 5;
        },
      }),
      { now: 5 },
    );
    const bytes = travel(Buffer.from('ab')) as object;
    strictEqual(Object.getPrototypeOf(bytes), Uint8Array.prototype);
    deepStrictEqual(travel(Object.assign(Object.create(null), { a: 1 })), { a: 1 });
    deepStrictEqual(travel(Object.defineProperty({ a: 1 }, 'hidden', { value: () => 1 })), { a: 1 });
    deepStrictEqual(travel(vm.runInNewContext('({ a: [1, { b: 2 }] })')), { a: [1, { b: 2 }] });
  });

  it('may have __proto__ as a field, which stays a field', () => {
    const arrived = travel(JSON.parse('{"__proto__": {"polluted": 1}, "a": 2}')) as Record<string, unknown>;
    strictEqual(Object.getPrototypeOf(arrived), Object.prototype);
    deepStrictEqual(Object.keys(arrived), ['__proto__', 'a']);
    strictEqual(arrived.polluted, undefined);
    strictEqual(({} as Record<string, unknown>).polluted, undefined);
  });

  it('arrives twice when it is reached twice', () => {
    const shared = { a: 1 };
    const arrived = travel({ x: shared, y: shared }) as { x: object; y: object };
    deepStrictEqual(arrived, { x: { a: 1 }, y: { a: 1 } });
    notStrictEqual(arrived.x, arrived.y);
  });

  class Cart {
    items = [];
  }
  class Stack extends Array<number> {}
  const circle: Record<string, unknown> = { name: 'c' };
  circle.list = [{ back: circle }];
  const lateCircle = { head: { a: new Map([['k', [] as unknown[]]]) } };
  lateCircle.head.a.get('k')?.push(lateCircle.head);
  const refused: [string, unknown, string, RegExp][] = [
    [
      'a function',
      { items: [0, 1, 2, { handler: () => 1 }] },
      'args[0].items[3].handler',
      /the function handler.*reference to a grain/,
    ],
    ['a function at the root', () => 1, 'args[0]', /a function/],
    ['a symbol', [Symbol('s')], 'args[0][0]', /a symbol.*string/],
    ['a symbol as a key', { a: { [Symbol('s')]: 1 } }, 'args[0].a', /Symbol\(s\) as a key/],
    ['an instance of a class', { cart: new Cart() }, 'args[0].cart', /class Cart.*registerType\(Cart/],
    ['an instance of a subclass of Array', [new Stack()], 'args[0][0]', /class Stack/],
    ['a WeakMap', { 'my cache': new WeakMap() }, 'args[0]["my cache"]', /a WeakMap/],
    ['a Promise', { p: Promise.resolve() }, 'args[0].p', /a Promise.*await/],
    ['a boxed number', [Object(1)], 'args[0][0]', /class Number/],
    ['shared memory', [new SharedArrayBuffer(1)], 'args[0][0]', /SharedArrayBuffer/],
    ['a thing that only claims to be a Date', [Object.create(Date.prototype)], 'args[0][0]', /Date/],
    ['a thing that only claims to be a URL', [Object.create(URL.prototype)], 'args[0][0]', /URL/],
    ['a function without a prototype', [Object.setPrototypeOf(() => 1, null)], 'args[0][0]', /function/],
    ['a function in a map', new Map([['k', { f() {} }]]), 'args[0].get("k").f', /function/],
    ['a function as a key of a map', new Map([[{ f() {} }, 1]]), 'args[0].keys()[0].f', /function/],
    ['a function in a set', new Set([1, { f() {} }]), 'args[0].values()[1].f', /function/],
    ['a circle', circle, 'args[0].list[0].back', /circular structure \(it is args\[0\] again\).*ids/],
    ['a circle further in', lateCircle, 'args[0].head.a.get("k")[0]', /it is args\[0\]\.head again/],
  ];
  it.each(refused)('is refused by path when it is or holds %s', (_what, value, path, message) => {
    throws(
      () => travel(value),
      (error) =>
        error instanceof NotSerializableError &&
        error.path === path &&
        message.test(error.message) &&
        error.message.startsWith(path),
    );
  });

  it('may be as deep as the limit and not deeper', () => {
    const nest = (levels: number) => {
      let value: unknown = 'end';
      for (let i = 0; i < levels; i++)
        value = i % 3 === 0 ? [value] : i % 3 === 1 ? { a: value } : new Map([[1, value]]);
      return value;
    };
    deepStrictEqual(travel(nest(LIMITS.valueDepth)), nest(LIMITS.valueDepth));
    throws(() => travel(nest(LIMITS.valueDepth + 1)), /nested more than 100 levels deep.*flatten/);
  });

  it('ends with an error, not with the memory, when few objects are reached in very many ways', {
    timeout: 60_000,
  }, () => {
    let value: unknown = [];
    for (let i = 0; i < 60; i++) value = [value, value];
    throws(() => travel(value), PayloadTooLargeError);
  });

  it('may be sent from within a getter of another', () => {
    const value = {
      get inner() {
        return travel({ deep: [1] });
      },
      after: 2,
    };
    deepStrictEqual(travel(value), { inner: { deep: [1] }, after: 2 });
  });

  it('does not disturb the next one when a getter throws', () => {
    throws(
      () =>
        travel([
          [
            {
              get bad() {
                throw new RangeError('mine');
              },
            },
          ],
        ]),
      /mine/,
    );
    deepStrictEqual(travel([1, 'a']), [1, 'a']);
    throws(
      () => travel({ f() {} }),
      (error) => (error as NotSerializableError).path === 'args[0].f',
    );
  });
});

describe('immutable()', () => {
  it('passes a value as it is within a process, also deep inside another', () => {
    const table = immutable({ rows: [1, 2] });
    strictEqual(copy(table, 'result'), table);
    const arrived = copy({ a: [table] }, 'result');
    strictEqual(arrived.a[0], table);
    expect(Object.isFrozen(table)).toBe(false);
  });

  it('changes nothing about a value that leaves the process', () => {
    deepStrictEqual(unpack(pack({ a: immutable([1]) }, 'result')), { a: [1] });
  });
});

describe('pack', () => {
  it('never overwrites or shares what it returned', () => {
    const first = pack('a'.repeat(100), 'x');
    const before = Buffer.from(first).toString('hex');
    for (let i = 0; i < 1000; i++) pack({ i, text: 'b'.repeat(i) }, 'x');
    strictEqual(Buffer.from(first).toString('hex'), before);
  });

  it('writes what any reader of MessagePack understands', () => {
    const value = {
      text: 'héllo',
      n: [0, 127, 128, -1, -33, 70000, -70000, 1.5],
      nested: { yes: true, none: null },
      bytes: new Uint8Array([1]),
    };
    const read = new Unpackr({ useRecords: false, int64AsType: 'number' }).unpack(
      pack(value, 'x'),
    ) as typeof value;
    deepStrictEqual({ ...read, bytes: new Uint8Array(read.bytes) }, value);
    const wide = new Unpackr({ useRecords: false, int64AsType: 'number' });
    for (const n of [2 ** 32, 2 ** 53 - 1, -(2 ** 31) - 1, -(2 ** 53) + 1, Date.UTC(2030, 1)])
      strictEqual(wide.unpack(pack(n, 'x')), n);
    deepStrictEqual(wide.unpack(pack(new Date(1234567890123), 'x')), new Date(1234567890123));
    deepStrictEqual(wide.unpack(pack(new Date(-1), 'x')), new Date(-1));
  });

  it('refuses what is larger than any call may be', () => {
    throws(() => pack(['x'.repeat(LIMITS.callBytes)], 'result'), PayloadTooLargeError);
  });
});

describe('isInline', () => {
  it('tells primitives that travel from all else', () => {
    for (const value of [undefined, null, true, 1, 'a', 1n]) strictEqual(isInline(value), true);
    for (const value of [{}, [], () => 1, Symbol('s'), new Date()]) strictEqual(isInline(value), false);
  });
});
