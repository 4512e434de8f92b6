import { describe, expect, test } from 'vitest';
import { LIMITS } from '../../../framework/limits.ts';
import { Call, type Replies } from '../../../framework/rpc/call.ts';
import { callItem, type Item, parseCall } from '../../../framework/rpc/frames.ts';
import { decodeFrame, encodeFrame } from '../../../framework/serialization/codec.ts';

function callWith(key: string | undefined, fields: Partial<Call> = {}): Call {
  const call = new Call('a~1', 1, 'T/x', 'm', [1], 0, {} as Replies);
  return Object.assign(call, { idempotencyKey: key, ...fields });
}

const parse = (item: Item, from = 'a~1') => parseCall(item, from, 1_000, {} as Replies);
const overTheWire = (item: Item) => decodeFrame(encodeFrame([item]))[0] as Item;

describe('the idempotency key of a call', () => {
  test('travels at its end, and what is before it has its usual value', () => {
    const item = callItem(callWith('order-77'), 5, false);
    expect(item.slice(6)).toEqual([0, [], null, 'a~1', 0, null, 'order-77']);
    expect(parse(overTheWire(item))).toMatchObject({
      ...{ idempotencyKey: 'order-77', caller: 'a~1', hops: 0, notAt: undefined },
      ...{ baggage: undefined, chain: [], flags: 0 },
    });
  });

  test('goes along when the call is passed on', () => {
    const item = callItem(callWith('k', { hops: 2, notAt: ['b~1', 4] }), 5, true);
    const passed = parse(overTheWire(item), 'b~1');
    expect(passed).toMatchObject({ idempotencyKey: 'k', caller: 'a~1', hops: 2, notAt: ['b~1', 4] });
  });

  test('costs nothing where there is none', () => {
    expect(callItem(callWith(undefined), 5, false)).toHaveLength(6);
    expect(callItem(callWith(undefined), 5, true)).toHaveLength(12);
  });

  test.each(['', 7, null, ['k'], 'x'.repeat(LIMITS.idempotencyKeyChars + 1)])(
    'that is none (%#) makes the call malformed: it must not run as one without',
    (key) => {
      const item = [...callItem(callWith('k'), 5, false).slice(0, 12), key];
      expect(parse(overTheWire(item))).toBeUndefined();
    },
  );
});
