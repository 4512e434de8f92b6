import * as v from 'valibot';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { validateArguments } from '../../../framework/grain/arguments-schema.ts';
import {
  isStandardSchema,
  type StandardIssue,
  type StandardSchema,
  validate,
} from '../../../framework/grain/standard-schema.ts';
import { LIMITS } from '../../../framework/limits.ts';

/** A schema that says what it is told to. */
function saying(result: unknown): StandardSchema<unknown, unknown> {
  const validating = { version: 1, vendor: 'test', validate: () => result };
  return { '~standard': validating as StandardSchema<unknown, unknown>['~standard'] };
}

const refusing = (...issues: StandardIssue[]) => saying({ issues });

/** What a path is called in what is said of a value. */
async function pathOf(...path: NonNullable<StandardIssue['path']>): Promise<string | undefined> {
  const { issues } = await validate(refusing({ message: 'no', path }), 1, 'value');
  return issues?.[0]?.path;
}

describe('a Standard Schema', () => {
  test('is what has the shape of one, an object or a function', () => {
    expect(isStandardSchema(z.string())).toBe(true);
    expect(isStandardSchema(v.string())).toBe(true);
    expect(isStandardSchema(Object.assign(() => {}, saying({ value: 1 })))).toBe(true);
  });

  test.each([
    undefined,
    null,
    5,
    'text',
    {},
    { '~standard': null },
    { '~standard': { version: 2, validate: () => {} } },
    { '~standard': { version: 1 } },
    () => {},
  ])('is not %j', (value) => {
    expect(isStandardSchema(value)).toBe(false);
  });
});

describe('what a schema says', () => {
  test('is the value as it makes it', () => {
    expect(validate(z.string().trim(), ' x ', 'value')).toEqual({ value: 'x' });
    expect(validate(saying({ value: undefined }), 1, 'value')).toEqual({ value: undefined });
    expect(validate(saying({ value: 1, issues: undefined }), 1, 'value')).toMatchObject({ value: 1 });
  });

  test('comes late from a schema that takes its time', async () => {
    const late = z.string().refine(async (text) => text === 'x', 'no x');
    expect(await validate(late, 'x', 'value')).toEqual({ value: 'x' });
    expect(await validate(late, 'y', 'value')).toEqual({ issues: [{ path: 'value', message: 'no x' }] });
  });

  test('comes late from what is like a promise, too', async () => {
    // biome-ignore lint/suspicious/noThenProperty: as libraries make them, and other realms
    const like = { then: (resolve: (result: unknown) => void) => resolve({ issues: [{ message: 'no' }] }) };
    expect(await validate(saying(like), 1, 'value')).toEqual({ issues: [{ path: 'value', message: 'no' }] });
  });

  test.each([undefined, null, true, 'yes', {}, { success: true }])(
    'is refused when it says %j, which is neither a value nor issues',
    (result) => {
      const validating = () => validate(saying(result), 1, 'value');
      expect(validating).toThrow('the schema of value answered with neither a value nor issues');
    },
  );

  test('names the place as one would in code', async () => {
    expect(await pathOf()).toBe('value');
    const paths = [['a', 'b'], [0, 'b', 12], ['two words'], [{ key: 'k' }, { key: 1 }], ['1'], [Symbol('s')]];
    expect(await Promise.all(paths.map((path) => pathOf(...path)))).toEqual([
      'value.a.b',
      'value[0].b[12]',
      'value["two words"]',
      'value.k[1]',
      'value[1]',
      'value[Symbol(s)]',
    ]);
  });

  test('is a refusal also when it has issues without saying which', () => {
    expect(validate(saying({ issues: [] }), 1, 'value')).toEqual({
      issues: [{ path: 'value', message: 'it is refused' }],
    });
  });

  test('does not grow with what somebody sent', async () => {
    expect(await pathOf('x'.repeat(10_000))).toHaveLength(LIMITS.issueChars + 1);
  });
});

describe('schemas of arguments', () => {
  test('wait for all that take their time, and keep the places', async () => {
    const late = z.string().transform(async (text) => `${text}!`);
    const one = await validateArguments([late, z.number(), late], ['a', 2, 'c']);
    expect(one).toEqual({ value: ['a!', 2, 'c!'] });
    const wrong = await validateArguments([late, z.number()], [1, 'b']);
    expect(wrong.issues?.map(({ path }) => path)).toEqual(['args[0]', 'args[1]']);
  });

  test('give defaults for what is left out, also in the middle', () => {
    const schemas = [z.string().default('a'), z.string().optional(), z.number().default(3)];
    expect(validateArguments(schemas, [])).toEqual({ value: ['a', undefined, 3] });
    expect(validateArguments(schemas.slice(0, 2), [])).toEqual({ value: ['a'] });
    expect(validateArguments(schemas.slice(0, 2), ['x', undefined])).toEqual({ value: ['x', undefined] });
  });
});
