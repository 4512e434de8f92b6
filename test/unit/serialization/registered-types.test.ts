import { deepStrictEqual, ok, strictEqual, throws } from 'node:assert/strict';
import { describe, it } from 'vitest';
import { InvalidConfigError, NotSerializableError } from '../../../framework/errors.ts';
import {
  copy,
  MalformedError,
  pack,
  registerType,
  setReferenceCodec,
  unpack,
} from '../../../framework/serialization/codec.ts';

class Money {
  readonly #cents: bigint;
  constructor(cents: bigint) {
    this.#cents = cents;
  }
  get cents(): bigint {
    return this.#cents;
  }
}
registerType(Money, { encode: (money) => ({ cents: money.cents }), decode: ({ cents }) => new Money(cents) });

class Bag {
  readonly content: unknown;
  constructor(content: unknown) {
    this.content = content;
  }
}
registerType(Bag, { name: 'bag', encode: (bag) => bag.content, decode: (content) => new Bag(content) });

class Fussy {}
registerType(Fussy, {
  encode: () => 1,
  decode: () => {
    throw new Error('not today');
  },
});

/** A reference as the grain layer makes it: every property is a call. */
const references = new WeakMap<object, { id: string; binder: unknown }>();
function reference(id: string, binder: unknown): object {
  const made: object = new Proxy(class {}, {
    get: (_target, name) => {
      throw new Error(`called ${String(name)}`);
    },
    ownKeys: () => {
      throw new Error('enumerated');
    },
  });
  references.set(made, { id, binder });
  return made;
}
setReferenceCodec({
  is: (value) => references.has(value),
  idOf: (made) => references.get(made)?.id ?? '',
  create: (id, binder) => {
    if (!id.includes('/')) throw new Error('no id');
    return reference(id, binder);
  },
});

const WAYS: [string, <T>(value: T, rebind?: unknown) => T][] = [
  ['copied', (value, rebind) => copy(value, 'args', rebind)],
  ['packed', (value, rebind) => unpack(pack(value, 'args'), rebind) as never],
];

describe.each(WAYS)('an instance of a registered class that is %s', (_name, travel) => {
  it('arrives as one, anywhere in a value', () => {
    const arrived = travel({ prices: new Map([['a', new Money(5n)]]) });
    const money = arrived.prices.get('a');
    ok(money instanceof Money);
    strictEqual(money.cents, 5n);
  });

  it('does not share what its encode returned', () => {
    const content = { list: [1] };
    const arrived = travel(new Bag(content));
    content.list.push(2);
    deepStrictEqual(arrived.content, { list: [1] });
  });

  it('is refused by path for what its data holds', () => {
    throws(
      () => travel([new Bag({ f() {} })]),
      (error) => error instanceof NotSerializableError && error.path === 'args[0].encode().f',
    );
    const round = new Bag([] as unknown[]);
    (round.content as unknown[]).push(round);
    throws(() => travel(round), /circular structure \(it is args again\)/);
  });

  it('is refused when its class refuses it', () => {
    throws(() => travel([new Fussy()]), /registered class 'Fussy'.*decode.*cause/);
    const bad = new Bag(1);
    Object.defineProperty(bad, 'content', {
      get: () => {
        throw new Error('empty');
      },
    });
    throws(
      () => travel([bad]),
      (error) =>
        error instanceof NotSerializableError &&
        error.path === 'args[0]' &&
        (error.cause as Error).message === 'empty',
    );
  });

  it('does not lend its registration to subclasses', () => {
    class Cheque extends Money {}
    throws(() => travel(new Cheque(1n)), /class Cheque/);
  });
});

describe('registerType', () => {
  it('takes a name and a class once', () => {
    const codec = { encode: () => 1, decode: () => new Money(1n) };
    throws(() => registerType(Money, { ...codec, name: 'other' }), InvalidConfigError);
    throws(() => registerType(class A extends Money {}, { ...codec, name: 'Money' }), InvalidConfigError);
    throws(() => registerType(class extends Money {}, { ...codec, name: '' }), InvalidConfigError);
  });

  it('is asked for by name when a class arrives that this process does not know', () => {
    const bytes = Buffer.from(pack(new Money(1n), 'x'));
    bytes.write('Monex', bytes.indexOf('Money'));
    throws(
      () => unpack(bytes),
      (error) =>
        error instanceof NotSerializableError && /'Monex'.*registerType here too/.test(error.message),
    );
  });
});

describe.each(WAYS)('a reference that is %s', (_name, travel) => {
  it('arrives bound to the receiver, and is never called on the way', () => {
    const sent = reference('Counter/a', 'sender');
    const [arrived, inMap] = travel([sent, new Map([['k', sent]])] as const, 'receiver');
    deepStrictEqual(references.get(arrived), { id: 'Counter/a', binder: 'receiver' });
    deepStrictEqual(references.get(inMap.get('k') as object), { id: 'Counter/a', binder: 'receiver' });
  });

  it('keeps its place in the fields of an error', () => {
    const error = travel(Object.assign(new Error('x'), { grain: reference('Counter/b', 1) }), 'receiver');
    deepStrictEqual(references.get(error.grain), { id: 'Counter/b', binder: 'receiver' });
  });
});

describe('unpack', () => {
  it('refuses a reference to what is no grain', () => {
    throws(() => unpack(pack(reference('nothing', 0), 'x')), MalformedError);
  });
});
