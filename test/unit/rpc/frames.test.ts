import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import { LIMITS } from '../../../framework/limits.ts';
import { Call, NO_CHAIN, type Replies } from '../../../framework/rpc/call.ts';
import { callItem, ITEM, type Item, parseCall } from '../../../framework/rpc/frames.ts';
import { decodeFrame, encodeFrame, unpack } from '../../../framework/serialization/codec.ts';

const inline = fc.oneof(fc.string(), fc.integer(), fc.boolean(), fc.constant(null));
const fields = fc.record({
  caller: fc.constantFrom('client~1', 'a~2'),
  id: fc.nat(),
  target: fc.constantFrom('Counter/x', 'Room/a/b', 'T/é'),
  method: fc.stringMatching(/^[a-z]{1,10}$/),
  args: fc.array(inline, { maxLength: 4 }),
  flags: fc.nat({ max: 7 }),
  chain: fc.array(fc.stringMatching(/^[A-Z]\/[a-z]{1,5}$/), { maxLength: 4 }),
  baggage: fc.option(fc.uint8Array({ maxLength: 20 }), { nil: undefined }),
});

type Values = Pick<Call, 'caller' | 'id' | 'target' | 'method' | 'args' | 'flags' | 'chain' | 'baggage'>;

function callOf({ caller, id, target, method, args, flags, chain, baggage }: Values): Call {
  const call = new Call(caller, id, target, method, args, 0, {} as Replies);
  return Object.assign(call, { flags, chain, baggage });
}

/** As `a~1` sends it, and it arrives at 1,000. */
const parse = (item: Item) => parseCall(item, 'a~1', 1_000, {} as Replies);

/** As it arrives at the other end. */
const overTheWire = (item: Item) => decodeFrame(encodeFrame([item]))[0] as Item;

describe('a call', () => {
  it('arrives as it was sent, with the time that was left', () => {
    fc.assert(
      fc.property(fields, fc.double({ min: 1, max: 1e6, noNaN: true }), (values, msLeft) => {
        const parts = parse(overTheWire(callItem(callOf(values), msLeft, false)));
        const { caller: _, ...sent } = values;
        const deadline = 1_000 + Math.ceil(msLeft);
        expect(parts).toMatchObject({ ...sent, deadline, caller: 'a~1', hops: 0, notAt: undefined });
      }),
    );
  });

  it('that was passed on says who made it, how far it came, and where the grain is not', () => {
    const notAt = fc.option(fc.tuple(fc.constantFrom('a~1', 'b~1'), fc.nat()), { nil: undefined });
    fc.assert(
      fc.property(fields, fc.nat({ max: LIMITS.hops }), notAt, (values, hops, where) => {
        const call = callOf(values);
        call.hops = hops;
        call.notAt = where;
        const parts = parse(overTheWire(callItem(call, 5, true)));
        expect(parts).toMatchObject({
          caller: values.caller,
          hops,
          chain: values.chain,
          flags: values.flags,
        });
        expect(parts?.notAt).toEqual(where?.[0] === 'a~1' ? where : undefined);
        expect(parts?.baggage).toEqual(values.baggage);
      }),
    );
  });

  test('leaves out what has its usual value', () => {
    const usual = { caller: 'a~1', id: 1, target: 'T/x', method: 'm', args: [1], flags: 0, chain: NO_CHAIN };
    expect(callItem(callOf({ ...usual, baggage: undefined }), 0.2, false)).toEqual([
      0,
      1,
      'T/x',
      'm',
      [1],
      1,
    ]);
  });

  test('of the longest deadline, rounded up, is one', () => {
    const usual = { caller: 'a~1', id: 1, target: 'T/x', method: 'm', args: [], flags: 2, chain: NO_CHAIN };
    const item = callItem(callOf({ ...usual, baggage: undefined }), LIMITS.callTimeoutMaxMs + 0.4, false);
    expect(parse(overTheWire(item))).toBeDefined();
  });

  test('packs arguments that a frame cannot hold', () => {
    const values = {
      caller: 'a~1',
      id: 1,
      target: 'T/x',
      method: 'm',
      args: [{ a: 1 }],
      flags: 0,
      chain: NO_CHAIN,
    };
    const parts = parse(overTheWire(callItem(callOf({ ...values, baggage: undefined }), 5, false)));
    expect(unpack(parts?.args as Uint8Array)).toEqual([{ a: 1 }]);
  });
});

describe('what is no call', () => {
  const good: Item = [ITEM.call, 1, 'T/x', 'm', [], 100, 0, [], null, 'a~1', 1, ['b~1', 3]];

  test.each<[string, number, unknown]>([
    ['an id that is no count', 1, -1],
    ['an id that is no number', 1, '1'],
    ['a grain without a key', 2, 'T/'],
    ['a grain that is not canonical', 2, 'T/%2f'],
    ['a grain that is no text', 2, 7],
    ['a method that is no text', 3, ['constructor']],
    ['a method of endless name', 3, 'm'.repeat(LIMITS.nameChars + 1)],
    ['arguments that are no list', 4, 'args'],
    ['arguments that a frame cannot hold', 4, [{}]],
    ['no time', 5, -5],
    ['half a millisecond', 5, 0.5],
    ['more time than there is', 5, LIMITS.callTimeoutMaxMs + 1],
    ['flags that are none', 6, 'all'],
    ['a chain that is no list', 7, 'T/y'],
    ['a chain of other things than texts', 7, [1]],
    ['an endless chain', 7, new Array(LIMITS.chainDepth + 1).fill('T/y')],
    ['baggage that is no bytes', 8, {}],
    ['too much baggage', 8, new Uint8Array(LIMITS.baggageBytes + 1)],
    ['a caller that is no text', 9, 9],
    ['hops that are no count', 10, -1],
  ])('is %s', (_what, index, wrong) => {
    expect(parse(good)).toBeDefined();
    expect(parse(good.with(index, wrong))).toBeUndefined();
  });

  test('is not a malformed word on where the grain is not: that is only left out', () => {
    for (const wrong of [7, ['b~1'], [1, 1], ['b~1', -1]]) {
      expect(parse(good.with(11, wrong))).toMatchObject({ notAt: undefined });
    }
  });

  it('never makes the reader throw', () => {
    const damaged = fc.tuple(fc.nat({ max: 12 }), fc.anything()).map(([at, value]) => {
      const item = [...good];
      item[at] = value;
      return item;
    });
    fc.assert(
      fc.property(fc.oneof(damaged, fc.array(fc.anything(), { maxLength: 14 })), (item) => {
        parse(item);
      }),
      { numRuns: 2_000 },
    );
  });
});
