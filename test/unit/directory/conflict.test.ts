import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Contender, winnerOf } from '../../../framework/directory/conflict.ts';

const contender: fc.Arbitrary<Contender> = fc.record({
  silo: fc.constantFrom('a~1', 'b~1', 'c~1'),
  activationId: fc.string({ unit: fc.constantFrom('0', '1', 'z'), minLength: 4, maxLength: 4 }),
  since: fc.nat({ max: 2 }),
});
const contenders = fc.uniqueArray(contender, {
  minLength: 1,
  maxLength: 6,
  selector: ({ activationId }) => activationId,
});
const primary = fc.constantFrom('a~1', 'b~1', 'nobody~1');

test('there is a winner among any contenders, the same whatever the order in which they are seen', () => {
  const orders = contenders.chain((all) =>
    fc.tuple(fc.constant(all), fc.shuffledSubarray(all, { minLength: all.length })),
  );
  fc.assert(
    fc.property(orders, primary, ([all, shuffled], home) => {
      const winner = winnerOf(all, home);
      expect(all).toContain(winner);
      expect(winnerOf(shuffled, home)).toBe(winner);
    }),
    { numRuns: 1_000 },
  );
});

test('the winner wins against each of the others alone too, so that losers can go one by one', () => {
  fc.assert(
    fc.property(contenders, primary, (all, home) => {
      const winner = winnerOf(all, home) as Contender;
      for (const each of all) expect(winnerOf([each, winner], home)).toBe(winner);
    }),
  );
});

test('home counts first, then age, then the smaller id', () => {
  const at = (silo: string, since: number, activationId: string) => ({ silo, since, activationId });
  expect(winnerOf([at('b~1', 1, 'a'), at('a~1', 9, 'z')], 'a~1')?.silo).toBe('a~1');
  expect(winnerOf([at('b~1', 2, 'a'), at('c~1', 1, 'z')], 'a~1')?.silo).toBe('c~1');
  expect(winnerOf([at('b~1', 1, 'z'), at('c~1', 1, 'a')], 'a~1')?.silo).toBe('c~1');
});

test('nobody wins only where nobody is', () => {
  expect(winnerOf([], 'a~1')).toBeUndefined();
});
