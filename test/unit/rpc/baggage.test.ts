import { expect, test } from 'vitest';
import { readBaggage } from '../../../framework/rpc/baggage.ts';
import { pack } from '../../../framework/serialization/codec.ts';

const packed = (value: unknown) => pack(value, 'request').slice();

test('baggage is what was packed, frozen', () => {
  const baggage = readBaggage(packed({ user: 'ada' }));
  expect(baggage).toEqual({ user: 'ada' });
  expect(Object.isFrozen(baggage)).toBe(true);
});

// An interceptor asks it for its fields, whoever has sent it.
test.each([null, undefined, 5, 'user', ['ada'], new Map([['user', 'ada']]), new Uint8Array(2), new Date(0)])(
  'baggage that is %j is none',
  (value) => {
    expect(readBaggage(packed(value))).toEqual({});
  },
);

test('baggage that cannot be read is none', () => {
  expect(readBaggage(new Uint8Array([0xc1, 0xff]))).toEqual({});
});
