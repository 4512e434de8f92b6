import { deepStrictEqual, doesNotThrow, ok, strictEqual, throws } from 'node:assert/strict';
import { describe, it } from 'vitest';
import {
  DeadlockError,
  ERRORS,
  InvalidConfigError,
  NotSerializableError,
} from '../../../framework/errors.ts';
import {
  copy,
  copyError,
  decodeError,
  encodeError,
  MalformedError,
  pack,
  registerError,
  unpack,
} from '../../../framework/serialization/codec.ts';

class PaymentError extends Error {
  readonly #secret = 1;
  constructor(
    message: string,
    readonly iban: string,
  ) {
    super(message);
    ran++;
  }
  get short(): string {
    return this.iban.slice(0, 2);
  }
  secret(): number {
    return this.#secret;
  }
}
let ran = 0;
registerError(PaymentError);

const WAYS: [string, (thrown: unknown) => Error & Record<string, unknown>][] = [
  ['within a process', (thrown) => copyError(thrown) as never],
  ['between processes', (thrown) => decodeError(unpack(pack(encodeError(thrown), 'error'))) as never],
  ['as a value', (thrown) => (unpack(pack([thrown], 'x')) as never[])[0] as never],
];

describe.each(WAYS)('an error that travels %s', (way, travel) => {
  it.each([Error, TypeError, RangeError, SyntaxError, ReferenceError, EvalError, URIError])(
    'stays a %o',
    (type) => {
      const error = travel(new type('broken'));
      strictEqual(Object.getPrototypeOf(error), type.prototype);
      strictEqual(error.message, 'broken');
      strictEqual(error.name, type.name);
    },
  );

  it('keeps its own fields, and the stack of where it was thrown', () => {
    const thrown = Object.assign(new Error('no'), { code: 'E_NO', at: new Date(3), detail: { list: [1] } });
    const error = travel(thrown);
    deepStrictEqual({ ...error }, { code: 'E_NO', at: new Date(3), detail: { list: [1] } });
    strictEqual(error.stack, thrown.stack);
    deepStrictEqual(Object.keys(error), ['code', 'at', 'detail']);
  });

  it('lists the fields that could not travel, and the rest arrives', () => {
    const thrown = Object.assign(new Error('no'), { socket: new WeakMap(), retry: () => 1, code: 5 });
    Object.defineProperty(thrown, 'bad', {
      enumerable: true,
      get: () => {
        throw new Error('getter');
      },
    });
    deepStrictEqual({ ...travel(thrown) }, { code: 5, lostFields: ['socket', 'retry', 'bad'] });
  });

  it('keeps causes, errors or not, and the errors of an AggregateError', () => {
    const thrown = new Error('outer', { cause: new TypeError('middle', { cause: { reason: 7 } }) });
    const error = travel(thrown);
    ok(error.cause instanceof TypeError);
    deepStrictEqual(error.cause.cause, { reason: 7 });
    const aggregate = travel(new AggregateError([new RangeError('a'), 'b'], 'all'));
    ok(aggregate instanceof AggregateError && aggregate.errors[0] instanceof RangeError);
    strictEqual(aggregate.errors[1], 'b');
    ok(!Object.keys(aggregate).includes('errors'));
    ok('cause' in travel(new Error('x', { cause: undefined })) && !('cause' in travel(new Error('x'))));
  });

  it('ends when it is its own cause, its own field, and one of its own errors', () => {
    const thrown = new AggregateError([], 'round') as AggregateError & { self: unknown; context: unknown };
    thrown.cause = thrown;
    thrown.self = thrown;
    thrown.context = { thrown };
    thrown.errors.push(thrown, thrown);
    strictEqual(travel(thrown).message, 'round');
  });

  it('has eight errors within errors at most, whichever field they are in', () => {
    let thrown = Object.assign(new Error('0'), { inner: undefined as unknown });
    for (let i = 1; i < 20; i++) thrown = Object.assign(new Error(String(i)), { inner: thrown });
    let depth = 0;
    let at: Record<string, unknown> = travel(thrown);
    for (; at.inner instanceof Error; at = at.inner as never) depth++;
    strictEqual(depth, 8);
    deepStrictEqual(at.lostFields, ['inner']);
  });

  it('has eight causes at most', () => {
    let thrown = new Error('0');
    for (let i = 1; i < 20; i++) thrown = new Error(String(i), { cause: thrown });
    let depth = 0;
    for (let at: unknown = travel(thrown); at instanceof Error && at.cause !== undefined; at = at.cause)
      depth++;
    strictEqual(depth, 8);
  });

  it.each(Object.entries(ERRORS))("stays Granary's own %s", (code, type) => {
    const thrown = new type('told', { grain: 'Counter/a' });
    const error = travel(thrown);
    ok(error instanceof type);
    deepStrictEqual({ ...error }, { ...thrown });
    strictEqual(error.code, code);
    strictEqual(error.name, type.name);
    strictEqual(error.retryable, thrown.retryable);
  });

  it("keeps the fields of Granary's errors", () => {
    const deadlock = travel(new DeadlockError('stuck', { cycle: ['A/1', 'B/2', 'A/1'] }));
    deepStrictEqual(deadlock.cycle, ['A/1', 'B/2', 'A/1']);
    strictEqual(travel(new NotSerializableError('no', { path: 'args[0].x' })).path, 'args[0].x');
  });

  it('keeps instanceof for a registered class, without running its constructor', () => {
    const thrown = new PaymentError('declined', 'DE12');
    const before = ran;
    const error = travel(thrown);
    strictEqual(ran, before);
    ok(error instanceof PaymentError);
    strictEqual(error.short, 'DE');
    deepStrictEqual({ ...error }, { iban: 'DE12' });
  });

  it('is an Error of that name when its class is unknown here', () => {
    class Unnamed extends Error {}
    class Named extends TypeError {
      override name = 'Chosen';
    }
    const unnamed = travel(new Unnamed('x'));
    strictEqual(Object.getPrototypeOf(unnamed), Error.prototype);
    strictEqual(unnamed.name, 'Unnamed');
    const named = travel(new Named('x'));
    ok(named instanceof TypeError);
    strictEqual(named.name, 'Chosen');
    deepStrictEqual(Object.keys(named), []);
  });

  it('may be a DOMException, such as the reason of an aborted signal', () => {
    const error = travel(AbortSignal.abort().reason);
    ok(error instanceof DOMException);
    strictEqual(error.name, 'AbortError');
    strictEqual(error.message, 'This operation was aborted');
  });

  it('cannot bring fields that reach a prototype or a setter', () => {
    const thrown = new Error('x');
    Object.defineProperty(thrown, '__proto__', { value: { polluted: 1 }, enumerable: true });
    const error = travel(thrown);
    strictEqual(Object.getPrototypeOf(error), Error.prototype);
    strictEqual(error.polluted, undefined);
  });

  if (way === 'as a value') return;
  it.each([['a text'], [undefined], [null], [{ code: 5 }], [42n]])(
    'comes as the cause of an error when %o was thrown',
    (thrown) => {
      const error = travel(thrown);
      ok(error instanceof Error);
      deepStrictEqual(error.cause, thrown);
      ok(error.message.includes(String(thrown)));
    },
  );

  it('tells of a thrown value that cannot travel', () => {
    ok(travel(Symbol('why')).message.includes('Symbol(why)'));
    ok(travel(Object.create(null, { f: { value: () => 1, enumerable: true } })) instanceof Error);
  });
});

describe('copy', () => {
  it('does not hand the caller the error object of the grain', () => {
    const error = new Error('x');
    ok(copy({ error }, 'result').error !== error);
  });
});

describe('decodeError', () => {
  it.each([[undefined], [1], [{}], [{ error: {} }], [{ error: { type: 1, name: 'a', message: 'b' } }]])(
    'refuses the record %o',
    (record) => {
      throws(() => decodeError(record), MalformedError);
    },
  );
});

describe('registerError', () => {
  it('takes a class twice, but a name only once', () => {
    doesNotThrow(() => registerError(PaymentError));
    const Other = { PaymentError: class PaymentError extends Error {} }.PaymentError;
    throws(() => registerError(Other), InvalidConfigError);
    throws(() => registerError(PaymentError, { name: 'Again' }), InvalidConfigError);
    throws(() => registerError(Other, { name: 'TypeError' }), InvalidConfigError);
    throws(() => registerError(Other, { name: 'CALL_TIMEOUT' }), InvalidConfigError);
    throws(() => registerError(class extends Error {}), InvalidConfigError);
  });
});
