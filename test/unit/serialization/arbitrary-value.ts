import fc from 'fast-check';

const text = fc.string({ unit: 'binary' });
/** Any UTF-16 units, so also halves of surrogate pairs. */
const units = fc
  .array(fc.integer({ min: 0, max: 0xffff }), { maxLength: 60 })
  .map((codes) => String.fromCharCode(...codes));
const longText = fc.string({ minLength: 40, maxLength: 400, unit: 'grapheme' });
const key = fc.oneof(
  text,
  units,
  fc.constantFrom('__proto__', 'constructor', 'toString', 'hasOwnProperty', 'toJSON', '', '0'),
);

const primitive = fc.oneof(
  text,
  units,
  longText,
  fc.integer(),
  fc.maxSafeInteger(),
  fc.double(),
  fc.bigInt(),
  fc.bigInt({ min: -(2n ** 300n), max: 2n ** 300n }),
  fc.boolean(),
  fc.constantFrom(
    null,
    undefined,
    -0,
    Number.NaN,
    Infinity,
    -Infinity,
    2 ** 53,
    -(2 ** 53),
    2 ** 64,
    -(2 ** 63),
    2 ** 32,
    -(2 ** 31) - 1,
  ),
  fc.constantFrom(0n, -1n, 127n, 128n, -128n, -129n, 255n, 256n, 2n ** 63n, -(2n ** 63n), 2n ** 64n),
);

const leaf = fc.oneof(
  primitive,
  fc.date({ noInvalidDate: false }),
  fc.uint8Array(),
  fc.uint8ClampedArray(),
  fc.int16Array(),
  fc.uint32Array(),
  fc.float32Array(),
  fc.float64Array(),
  fc.bigInt64Array(),
  fc.uint8Array().map((bytes) => new Uint8Array(bytes).buffer),
  fc.uint8Array().map((bytes) => new DataView(new Uint8Array(bytes).buffer)),
  fc.webUrl().map((href) => new URL(href)),
  fc.constantFrom(/a(b)+/gi, /[/\n]/u),
);

function object(value: fc.Arbitrary<unknown>): fc.Arbitrary<object> {
  return fc.array(fc.tuple(key, value), { maxLength: 8 }).map(Object.fromEntries);
}

/** Any value that can travel. */
export const arbitraryValue: fc.Arbitrary<unknown> = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4, depthSize: 'small' },
    leaf,
    fc.array(tie('value'), { maxLength: 8 }),
    object(tie('value')),
    fc.array(fc.tuple(tie('value'), tie('value')), { maxLength: 5 }).map((entries) => new Map(entries)),
    fc.array(tie('value'), { maxLength: 5 }).map((values) => new Set(values)),
  ),
})).value;

/** Any frame. */
export const arbitraryFrame: fc.Arbitrary<unknown[]> = fc.array(
  fc.oneof(
    primitive,
    fc.uint8Array(),
    fc.array(fc.oneof(primitive, fc.uint8Array(), fc.array(primitive, { maxLength: 20 }))),
  ),
  { maxLength: 40 },
);
