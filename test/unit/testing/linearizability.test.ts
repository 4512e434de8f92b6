import {
  type CounterInput,
  checkLinearizable,
  counterModel,
  type Operation,
  registerModel,
} from 'granary/testing';
import { describe, expect, test } from 'vitest';
import { corrupted, type RegisterOperation, registerHistory } from '../../support/register-history.ts';
import { seeded } from '../../support/seeded.ts';

const register = registerModel<number>(0);

/** `w1`, `r1`, `c12+` (compare 1, set 2, done), `c12-`; times `from-to`, or `from-?`; as in 'a w1 0-10'. */
function history(...lines: string[]): RegisterOperation[] {
  return lines.map((line) => {
    const [caller = '', what = '', when = ''] = line.split(' ');
    const [from, to] = when.split('-');
    const [first = 0, second = 0] = [...what.slice(1)].map(Number);
    const input: RegisterOperation['input'] =
      what[0] === 'r'
        ? { type: 'read' }
        : what[0] === 'w'
          ? { type: 'write', value: first }
          : { type: 'compareAndSet', expected: first, value: second };
    const output = what[0] === 'r' ? first : what[0] === 'w' ? undefined : what.endsWith('+');
    const returned = to === '?' ? undefined : { at: Number(to), output };
    return { caller, key: 'x', input, invokedAt: Number(from), returned };
  });
}

/** All orders of all subsets that keep every operation that returned. */
function bruteForce(operations: readonly RegisterOperation[], state = register.initial): boolean {
  if (operations.every(({ returned }) => !returned)) return true;
  return operations.some((operation) => {
    const { input, invokedAt, returned } = operation;
    if (operations.some((other) => other.returned && other.returned.at < invokedAt)) return false;
    const next = register.step(state, { input, outcome: returned });
    const rest = operations.filter((other) => other !== operation);
    return next !== undefined && bruteForce(rest, next.state);
  });
}

describe('a register', () => {
  test.each([
    ['nothing at all', []],
    ['a write and a read that sees it', ['a w1 0-10', 'b r1 20-30']],
    ['a read during a write that sees the old value', ['a w1 0-30', 'b r0 10-20']],
    ['two reads during a write, first old, then new', ['a w1 0-30', 'b r0 5-10', 'b r1 15-20']],
    [
      'two writes at once, and readers that agree on an order',
      ['a w1 0-9', 'b w2 0-9', 'c r1 20-29', 'd r1 20-29'],
    ],
    ['a read that begins when the next write ends', ['a w1 0-10', 'b w2 20-30', 'c r1 30-40']],
    ['an unknown write that is never seen', ['a w1 0-?', 'b r0 10-20', 'b r0 30-40']],
    ['an unknown write that is seen at last', ['a w1 0-?', 'b r0 10-20', 'b w2 30-40', 'b r1 50-60']],
    ['unknown writes that are seen in another order', ['a w1 0-?', 'b w2 5-?', 'c r2 10-20', 'c r1 30-40']],
    [
      'the same unknown write twice, seen twice',
      ['a w1 0-?', 'b w1 0-?', 'c w2 1-2', 'c r1 3-4', 'c w3 5-6', 'c r1 7-8'],
    ],
    ['an unknown swap of what an unknown write left', ['a w1 0-?', 'b c12 0-?', 'c r2 10-20']],
    ['a swap that fails because of an unknown write', ['a w1 0-?', 'b c05- 10-20', 'b r1 30-40']],
    [
      'one of two unknown ways to a value',
      ['a w1 0-?', 'b c13 0-?', 'a w2 0-?', 'b c23 0-?', 'd r3 1-2', 'd r1 3-4'],
    ],
    ['the other of two', ['a w1 0-?', 'b c13 0-?', 'a w2 0-?', 'b c23 0-?', 'd r3 1-2', 'd r2 3-4']],
    ['two swaps, and only one done', ['a c01+ 0-10', 'b c02- 0-10', 'c r1 20-30']],
  ])('may show %s', (_, lines) => {
    expect(bruteForce(history(...lines))).toBe(true);
    expect(checkLinearizable(register, history(...lines))).toEqual({ linearizable: true });
  });

  test.each([
    ['a stale read', ['a w1 0-10', 'a w2 20-30', 'b r1 40-50'], 3],
    ['a value that nobody wrote', ['a w1 0-10', 'b r7 20-30'], 1],
    ['a lost update: two swaps of one value', ['a c01+ 0-10', 'b c02+ 0-10'], 2],
    ['a write that is read before it is called', ['b r1 0-10', 'a w1 20-30'], 1],
    ['two reads during a write, first new, then old', ['a w1 0-30', 'b r1 5-10', 'b r0 15-20'], 2],
    [
      'readers that do not agree on an order',
      ['a w1 0-9', 'b w2 0-9', 'c r1 10-11', 'c r2 12-13', 'd r1 14-15'],
      3,
    ],
    ['an unknown write that is seen, and then not', ['a w1 0-?', 'b r1 10-20', 'b r0 30-40'], 2],
    ['an unknown write that is seen twice', ['a w1 0-?', 'c r1 3-4', 'c w3 5-6', 'c r1 7-8'], 3],
    ['a swap that fails although nothing was written', ['b c05- 10-20'], 1],
  ])('never shows %s', (_, lines, needed) => {
    expect(bruteForce(history(...lines))).toBe(false);
    const result = checkLinearizable(register, history(...lines));
    expect(result).toMatchObject({ linearizable: false, key: 'x' });
    expect(result.linearizable === false && result.contradiction).toHaveLength(needed);
  });

  test('is judged as by trying all orders', () => {
    let wrong = 0;
    for (let seed = 0; seed < 1500; seed++) {
      const random = seeded(seed);
      const shape = { callers: 2 + Math.floor(random() * 3), values: 1 + Math.floor(random() * 4) };
      const size = 4 + Math.floor(random() * 5);
      const right = registerHistory({ seed, operations: size, unknown: random() * 0.5, ...shape });
      const changed = corrupted(right, seed);
      expect(checkLinearizable(register, right).linearizable, `seed ${seed}`).toBe(true);
      const expected = bruteForce(changed);
      expect(checkLinearizable(register, changed).linearizable, `seed ${seed}, corrupted`).toBe(expected);
      if (!expected) wrong++;
    }
    expect(wrong).toBeGreaterThan(200);
  });

  test('contradicts itself as little as it says', () => {
    for (let seed = 0; seed < 300; seed++) {
      const operations = corrupted(registerHistory({ seed, operations: 8, callers: 3, unknown: 0.2 }), seed);
      const result = checkLinearizable(register, operations);
      if (result.linearizable !== false) continue;
      const weaker = operations
        .filter(({ invokedAt }) => invokedAt <= (result.unexplained.returned?.at ?? 0))
        .map((each) => (result.contradiction.includes(each) ? each : { ...each, returned: undefined }));
      expect(bruteForce(weaker), `seed ${seed}`).toBe(false);
      expect(result.contradiction, `seed ${seed}`).toContain(result.unexplained);
    }
  });
});

test('each object is judged for itself', () => {
  const [fine, broken] = [history('a w1 0-10', 'b r1 20-30'), history('a w1 0-10', 'b r0 20-30')];
  const both = [...fine, ...broken.map((operation) => ({ ...operation, key: 'y' }))];
  expect(checkLinearizable(register, both)).toMatchObject({ linearizable: false, key: 'y' });
});

test('a contradiction is told in a few lines: who, when, what', () => {
  const operations = history(
    'a w1 0-10',
    'b r1 12-18',
    'a w2 20-30',
    'c w3 25-?',
    'b r2 32-38',
    'b r1 40-50',
  );
  const result = checkLinearizable(register, operations);
  expect(result.linearizable === false && result.explanation.split('\n')).toEqual([
    'The register "x" is not linearizable. These contradict each other:',
    '  a  0–10   write(1)',
    '  a  20–30  write(2)',
    '  b  40–50  read() → 1   ← no order explains this',
    'It does not matter whether, or when after their calls, the other 3 ran.',
    'The longest order without it: …, b read() → 1, a write(2), b read() → 2; the state is then 2.',
  ]);
});

test('what takes more steps than allowed is not decided', () => {
  const operations = registerHistory({ seed: 1, operations: 100, callers: 8 });
  const result = checkLinearizable(register, operations, { maxSteps: 50 });
  expect(result).toMatchObject({ linearizable: 'unknown', key: 'register' });
});

test('a return before its call is refused', () => {
  expect(() => checkLinearizable(register, history('a w1 10-0'))).toThrow(RangeError);
});

describe('a counter', () => {
  const counter = counterModel();
  const add = (amount: number, at: number, sum?: number): Operation<CounterInput, number | undefined> => ({
    caller: 'a',
    key: 'hits',
    input: { type: 'add', amount },
    invokedAt: at,
    returned: { at: at + 5, output: sum },
  });
  const read = (at: number, sum: number): Operation<CounterInput, number | undefined> => ({
    caller: 'b',
    key: 'hits',
    input: { type: 'read' },
    invokedAt: at,
    returned: { at: at + 5, output: sum },
  });
  const lost = (operation: Operation<CounterInput, number | undefined>) => ({
    ...operation,
    returned: undefined,
  });

  test('shows every addition once', () => {
    expect(checkLinearizable(counter, [add(1, 0), add(2, 0), read(10, 3)])).toEqual({ linearizable: true });
    expect(checkLinearizable(counter, [add(1, 0, 3), add(2, 0, 2)])).toEqual({ linearizable: true });
    expect(checkLinearizable(counter, [add(1, 0), add(2, 0), read(10, 2)]).linearizable).toBe(false);
    expect(checkLinearizable(counter, [add(1, 0, 1), add(1, 0, 1)]).linearizable).toBe(false);
  });

  test.each([6, 7, 8, 9])('may show 5, of unknown 1 + 4 or 2 + 3, and then %s', (then) => {
    const unknown = [1, 4, 2, 3].map((amount) => lost(add(amount, 0)));
    expect(checkLinearizable(counter, [...unknown, read(10, 5), read(20, then)])).toEqual({
      linearizable: true,
    });
  });

  test('may show any number of a hundred unknown additions, but not take one back', () => {
    const unknown = Array.from({ length: 100 }, (_, index) => lost(add(1, index)));
    const reads = [read(200, 10), read(210, 10), read(220, 97)];
    expect(checkLinearizable(counter, [...unknown, ...reads])).toEqual({ linearizable: true });
    expect(checkLinearizable(counter, [...unknown, ...reads, read(230, 96)]).linearizable).toBe(false);
    expect(checkLinearizable(counter, [...unknown, read(200, 101)]).linearizable).toBe(false);
  });
});

describe('long histories', () => {
  test.each([
    { callers: 8, unknown: 0.05 },
    { callers: 8, unknown: 0.3 },
    { callers: 16, unknown: 0.1 },
  ])('of a correct register are decided: $callers callers, $unknown unknown', ({ callers, unknown }) => {
    for (let seed = 0; seed < 5; seed++) {
      const operations = registerHistory({ seed, operations: 1000, callers, unknown });
      expect(checkLinearizable(register, operations), `seed ${seed}`).toEqual({ linearizable: true });
    }
  });

  test('of a register that once answered wrongly are found out, and cut down to little', () => {
    const right = registerHistory({ seed: 7, operations: 400, callers: 8, unknown: 0.1 });
    const reads = right.filter(({ input, returned }) => input.type === 'read' && returned);
    const [early, late] = [reads[20], reads[100]];
    const wrong = right.map((operation) => {
      if (operation !== late || !late?.returned || !early?.returned) return operation;
      return { ...late, returned: { ...late.returned, output: early.returned.output } };
    });
    const result = checkLinearizable(register, wrong);
    expect(result).toMatchObject({ linearizable: false, unexplained: { invokedAt: late?.invokedAt } });
    expect(result.linearizable === false && result.contradiction.length).toBeLessThanOrEqual(4);
  });

  test('get the same answer each time', () => {
    const operations = corrupted(registerHistory({ seed: 5, operations: 200, callers: 4, unknown: 0.1 }), 5);
    expect(checkLinearizable(register, operations)).toEqual(checkLinearizable(register, operations));
  });
});
