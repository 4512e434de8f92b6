import { Grain, type GrainClass, grain, InvalidConfigError, method, type StateOptions, state } from 'granary';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { grainTypeOf } from '../../../framework/grain/grain-type.ts';

/** A class whose fields a, b, ... are of one record. */
function withFields(...options: readonly object[]): GrainClass {
  @grain()
  class Shaped extends Grain {
    @method() async go(): Promise<void> {}
  }
  for (const [index, each] of options.entries()) {
    state(each as StateOptions)(Shaped.prototype, 'abc'[index] as string);
  }
  return Shaped;
}

const step = (stored: object) => stored;

test.each([
  ['a version that is none', [{ version: 1.5 }], /@state on a: version is 1\.5; .* whole number from 1/],
  ['version 0', [{ version: 0 }], /version is 0/],
  ['a version as text', [{ version: '2' }], /version is 2; it must be a whole number/],
  [
    'fields that disagree',
    [{ version: 2, migrate: { 2: step } }, {}, { version: 3 }],
    /class Shaped: @state on c: version is 3, but record 'state' has version 2 on a; .* say it once/,
  ],
  [
    'a version without steps',
    [{ version: 2 }],
    /record 'state' has version 2, but migrate has no step that makes 2/,
  ],
  [
    'a step that is missing',
    [{ version: 4, migrate: { 2: step, 4: step } }],
    /migrate has no step that makes 3 of 2: migrate: \{ 3: \(stored\) => /,
  ],
  ['no step to the version itself', [{ version: 3, migrate: { 2: step } }], /no step that makes 3 of 2/],
  ['a step beyond the version', [{ version: 2, migrate: { 2: step, 3: step } }], /migrate has a step '3'/],
  ['steps without a version', [{ migrate: { 2: step } }], /migrate has a step '2'/],
  ['a step to the first version', [{ version: 2, migrate: { 1: step, 2: step } }], /migrate has a step '1'/],
  [
    'a step that has a name',
    [{ version: 2, migrate: { two: step } }],
    /version 2, and migrate has a step 'two'; a step is named by what it makes/,
  ],
  [
    'a step that is no function',
    [{ version: 2, migrate: { 2: {} } }],
    /migrate\[2\] is .*must be a function/,
  ],
  ['steps that are no object', [{ version: 2, migrate: step }], /migrate must be an object of steps/],
  [
    'steps on two fields',
    [{ version: 2, migrate: { 2: step } }, { migrate: { 2: step } }],
    /record 'state' has migrate on two fields/,
  ],
  ['a schema that is none', [{ schema: { parse() {} } }], /@state on a: schema is no Standard Schema/],
])('%s is refused, with class, member and remedy', (_what, options, message) => {
  let error: unknown;
  try {
    grainTypeOf(withFields(...options));
  } catch (thrown) {
    error = thrown;
  }
  expect(error).toBeInstanceOf(InvalidConfigError);
  expect((error as Error).message).toMatch(message);
});

describe('a record', () => {
  test('of a class that says nothing of it has no shape', () => {
    expect(grainTypeOf(withFields({}, { version: 1 })).records[0]?.shape).toBeUndefined();
  });

  test('has the version that one of its fields says, whichever, or several alike', () => {
    const migrate = { 2: step };
    for (const options of [
      [{}, { version: 2, migrate }],
      [{ version: 2 }, { version: 2, migrate }],
    ]) {
      expect(grainTypeOf(withFields(...options)).records[0]?.shape?.version).toBe(2);
    }
  });

  test('has a version of its own beside that of another record', () => {
    const other = { name: 'other', version: 5, migrate: { 5: step } };
    const [first, second] = grainTypeOf(withFields({}, other)).records;
    expect([first?.shape, second?.shape?.version]).toEqual([undefined, 5]);
  });

  test('may have schemas without a version; of a field that is declared anew the last one counts', () => {
    const [text, number] = [z.string(), z.number()];
    class Parent extends Grain {
      @state({ schema: text }) a: unknown;
    }
    @grain()
    class Child extends Parent {
      @state({ schema: number }) override a: unknown = 0;
      @method() async go(): Promise<void> {}
    }
    const shape = grainTypeOf(Child).records[0]?.shape;
    expect(shape).toMatchObject({ version: 1 });
    expect(shape?.schemas.get('a')).toBe(number);
  });
});

test('a step may say what the older version was; without a word it gets fields of any kind', () => {
  state({
    version: 3,
    migrate: {
      2: (stored: { euros: number }) => ({ cents: stored.euros * 100 }),
      // @ts-expect-error: it has to look what it is
      3: ({ cents }) => ({ cents: cents + 1 }),
    },
  });
  // @ts-expect-error: fields, not a value
  state({ version: 2, migrate: { 2: () => 7 } });
  expect(() => state({ schema: z.date() })).not.toThrow();
});
