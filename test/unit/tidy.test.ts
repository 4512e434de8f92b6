import { readFileSync } from 'node:fs';
import { posix } from 'node:path';
import { describe, expect, test } from 'vitest';
import { ERRORS } from '../../framework/errors.ts';
import { KINDS } from '../../vitest.config.ts';
import { type Import, parseSource, type SourceFile, sourceFiles } from '../support/source-file.ts';

/**
 * A file imports its own part, and parts of a lower layer. Parts are folders and files of framework/, and
 * persistence/.
 */
const LAYERS: Readonly<Record<string, number>> = {
  system: 0,
  placement: 0,
  identity: 0,
  'errors.ts': 0,
  'limits.ts': 0,
  grain: 1,
  serialization: 1,
  observability: 1,
  transport: 1,
  ring: 1,
  storage: 2,
  messaging: 2,
  membership: 3,
  persistence: 3,
  rpc: 4,
  directory: 4,
  reminders: 5,
  topics: 5,
  runtime: 6,
  'silo-options.ts': 7,
  'silo.ts': 8,
  'client.ts': 8,
  'index.ts': 9,
  'nats.ts': 9,
  testing: 9,
};

/** Imports within a layer. */
const ALSO: Readonly<Record<string, readonly string[]>> = {
  identity: ['errors.ts', 'limits.ts'],
  placement: ['system', 'identity'],
};

/** Who may touch time and chance other than through a `Clock` or a `Random`, what, and why. */
const CHANCE: readonly { path: string; names: readonly string[]; why: string }[] = [
  {
    path: 'framework/system/clock.ts',
    names: ['Date.now', 'performance.now', 'process.nextTick', 'setImmediate', 'setTimeout'],
    why: 'it is the door to time',
  },
  {
    path: 'framework/system/random.ts',
    names: ['Math.random', 'randomBytes'],
    why: 'it is the door to chance',
  },
  {
    path: 'framework/transport/delivery-queue.ts',
    names: ['MessageChannel'],
    why: 'in-process delivery must let timers and I/O have their turn; a simulator brings its own transport',
  },
  {
    path: 'framework/transport/nats.ts',
    names: ['node:timers/promises', 'setTimeout'],
    why: 'between two attempts to connect there is nothing to wait for; a simulator brings its own transport',
  },
  {
    path: 'framework/testing/simulation/engine.ts',
    names: ['setImmediate'],
    why: 'only the event loop knows that nothing is left to do but to wait',
  },
  {
    path: 'framework/testing/simulation/globals.ts',
    names: ['process.hrtime'],
    why: 'it exchanges the clocks of Node.js for those of a simulation',
  },
  {
    path: 'framework/testing/simulation/timer-globals.ts',
    names: ['node:timers', 'node:timers/promises'],
    why: 'it exchanges the timers of Node.js for those of a simulation',
  },
  {
    path: 'persistence/group-commit.ts',
    names: ['performance.now', 'process.nextTick'],
    why: 'what waited too long in front of the database is refused; a simulator brings its own stores',
  },
  {
    path: 'persistence/postgres-database.ts',
    names: ['setTimeout'],
    why: 'a pool whose server is gone never ends by itself; a simulator brings its own stores',
  },
];

const FILE_LINES = 500;
const FUNCTION_LINES = 60;
const COLUMNS = 110;

const sources = sourceFiles(['framework', 'persistence', 'grains', 'samples']);
const tests = sourceFiles(['test']);

test('there is something to check', () => {
  expect(sources.map(({ path }) => path)).toContain('framework/errors.ts');
});

describe('imports', () => {
  test('go down the layers', () => {
    expect(sources.flatMap(upwardImports)).toEqual([]);
  });

  test('are in no cycle', () => {
    expect(cycles(sources)).toEqual([]);
  });

  test.each([
    ['framework/rpc/call.ts', '../directory/directory.ts', 'a part of the same layer'],
    ['framework/ring/ring.ts', '../membership/view.ts', 'a higher layer'],
    ['framework/rpc/call.ts', '../nowhere/x.ts', 'a part without a layer'],
    ['framework/rpc/call.ts', 'granary', 'the front door, from inside'],
    ['persistence/redis.ts', '../framework/rpc/call.ts', 'the runtime, from a store'],
    ['grains/presence.ts', '../framework/index.ts', 'the framework by path, from a grain'],
    ['grains/presence.ts', 'node:fs', 'more than Granary, from a ready-made grain'],
    ['samples/bank/account.ts', '../../framework/silo.ts', 'the framework by path, from a sample'],
  ])('from %s of %s are refused: %s', (path, specifier) => {
    const imports = [parseSource(path, `import type { X } from '${specifier}';`)];
    expect(imports.flatMap(upwardImports)).toHaveLength(1);
  });

  test.each([
    ['framework/rpc/call.ts', './frame.ts'],
    ['framework/rpc/call.ts', '../messaging/channel.ts'],
    ['framework/identity/grain-id.ts', '../errors.ts'],
    ['framework/transport/nats.ts', 'nats'],
    ['framework/silo.ts', '../persistence/memory.ts'],
    ['persistence/redis.ts', '../framework/storage/grain-store.ts'],
    ['grains/presence.ts', 'granary'],
    ['samples/bank/account.ts', 'granary/nats'],
    ['samples/bank/account.ts', '../hello/main.ts'],
  ])('from %s of %s are fine', (path, specifier) => {
    expect(upwardImports(parseSource(path, `export * from '${specifier}';`))).toEqual([]);
  });

  test('in a circle are found, unless types close it', () => {
    const file = (name: string, code: string) => parseSource(`framework/${name}.ts`, code);
    const value = [file('a', `import { b } from './b.ts';`), file('b', `export * from './a.ts';`)];
    const type = [file('a', `import { b } from './b.ts';`), file('b', `import type { A } from './a.ts';`)];
    expect(cycles(value)).toEqual(['framework/a.ts → framework/b.ts → framework/a.ts']);
    expect(cycles(type)).toEqual([]);
  });
});

describe('time and chance', () => {
  test('come from the clock and the random that a constructor was given', () => {
    const uses = sources.filter(({ path }) => !path.startsWith('samples/')).flatMap(unlistedChance);
    expect(uses).toEqual([]);
  });

  test('are used by every file that is listed for them', () => {
    const used = (path: string) => sources.find((file) => file.path === path)?.chance.map(({ text }) => text);
    const unused = CHANCE.flatMap(({ path, names }) =>
      names.filter((name) => !used(path)?.includes(name)).map((name) => `${path}: ${name}`),
    );
    expect(unused).toEqual([]);
  });

  test.each([
    'Date.now()',
    'new Date()',
    'new Date',
    'Date()',
    'globalThis.performance.now()',
    'setTimeout(f, 1)',
    'globalThis.setTimeout(f, 1)',
    'const later = setImmediate',
    'setInterval(f, 1)',
    'Math.random()',
    'crypto.randomUUID()',
    `import { randomUUID } from 'node:crypto'`,
    `import { setTimeout as sleep } from 'node:timers/promises'`,
    'process.nextTick(f)',
    'new MessageChannel()',
    'AbortSignal.timeout(5)',
    '({ setTimeout })',
  ])('are seen in `%s`', (code) => {
    expect(unlistedChance(parseSource('framework/rpc/call.ts', code))).not.toEqual([]);
  });

  test.each([
    'new Date(0)',
    'queueMicrotask(f)',
    'clock.setTimeout(f)',
    '({ setTimeout: 1 })',
    '// Date.now()',
  ])('are not seen in `%s`', (code) => {
    expect(unlistedChance(parseSource('framework/rpc/call.ts', code))).toEqual([]);
  });
});

describe('sizes', () => {
  test(`are at most ${FILE_LINES} lines a file, ${FUNCTION_LINES} a function, ${COLUMNS} columns`, () => {
    expect([...sources, ...tests].flatMap(oversize)).toEqual([]);
  });

  test('over the limit are found, but not the callback that holds tests', () => {
    const body = 'call();\n'.repeat(FUNCTION_LINES);
    const long = parseSource(
      'test/x.ts',
      `function f() {\n${body}}\ndescribe.each([1])('x', () => {\n${body}});`,
    );
    expect(oversize(long)).toEqual([`test/x.ts:1: a function of ${FUNCTION_LINES + 2} lines`]);
    expect(oversize(parseSource('test/x.ts', `//${'x'.repeat(COLUMNS)}`))).toHaveLength(1);
    expect(oversize(parseSource('test/x.ts', '\n'.repeat(FILE_LINES + 1)))).toHaveLength(1);
  });
});

describe('the error table', () => {
  const rows = documentedErrors(readFileSync(new URL('../../docs/errors.md', import.meta.url), 'utf8'));

  test('is in docs/errors.md: codes, classes, and whether a retry makes sense', () => {
    const defined = Object.entries(ERRORS).map(([code, Class]) => {
      const error = new Class('');
      return [code, error.code, Class.name, error.retryable ? 'yes' : 'no'];
    });
    expect(rows.map(({ code, name, retryable }) => [code, code, name, retryable])).toEqual(defined);
  });

  test('says of every error what it means and what to do', () => {
    for (const { meaning, remedy } of rows) {
      expect(meaning).toMatch(/^[A-Z`].+\.$/);
      expect(remedy).toMatch(/^[A-Z`].{15,}\.$/);
    }
  });
});

describe('what is left over', () => {
  test('is nothing: no notes to do, no casts to any, no test that shuts the others out', () => {
    expect([...sources, ...tests].flatMap(leftovers)).toEqual([]);
  });

  test.each(['/* TODO later */', '// FIXME', 'x as any', 'test.only("x", f)', 'describe.only.each([])'])(
    'is seen in `%s`',
    (code) => {
      expect(leftovers(parseSource('test/x.ts', code))).toHaveLength(1);
    },
  );

  test('is no test file outside the folders that vitest runs', () => {
    const folders = KINDS.flatMap((kind) => kind.folders.map((folder) => `test/${folder}/`));
    const files = [...sources, ...tests]
      .map(({ path }) => path)
      .filter((path) => /\.(test|spec)\.ts$/.test(path));
    expect(files.filter((path) => !folders.some((folder) => path.startsWith(folder)))).toEqual([]);
  });
});

function upwardImports(file: SourceFile): string[] {
  return file.imports.flatMap((imported) => {
    const problem = importProblem(file.path, imported);
    return problem ? [`${file.path}:${imported.line}: ${imported.specifier}: ${problem}`] : [];
  });
}

function importProblem(path: string, { specifier }: Import): string | undefined {
  const top = path.slice(0, path.indexOf('/'));
  const target = resolved(path, specifier);
  if (top === 'grains' || top === 'samples') {
    if (target?.startsWith(`${top}/`) || /^granary(\/|$)/.test(specifier)) return undefined;
    return target || top === 'grains' ? `${top}/ imports only the public entry points of granary` : undefined;
  }
  if (target === undefined) {
    return /^granary(\/|$)/.test(specifier) ? 'import the file, not the public entry point' : undefined;
  }
  const [from, to] = [partOf(path), partOf(target)];
  if (from === to || ALSO[from]?.includes(to)) return undefined;
  const [own, theirs] = [LAYERS[from], LAYERS[to]];
  if (own === undefined || theirs === undefined) return `no layer for ${own === undefined ? from : to}`;
  return theirs < own ? undefined : `layer ${own} (${from}) imports layer ${theirs} (${to})`;
}

/** The file that a relative import means; undefined for a package. */
function resolved(path: string, specifier: string): string | undefined {
  return specifier.startsWith('.') ? posix.join(posix.dirname(path), specifier) : undefined;
}

function partOf(path: string): string {
  const [top = '', part = ''] = path.split('/');
  return top === 'framework' ? part : top;
}

function cycles(files: readonly SourceFile[]): string[] {
  const byPath = new Map(files.map((file) => [file.path, file]));
  const done = new Set<string>();
  const found: string[] = [];
  const visit = (path: string, trail: readonly string[]): void => {
    const start = trail.indexOf(path);
    if (start >= 0) found.push([...trail.slice(start), path].join(' → '));
    if (start >= 0 || done.has(path)) return;
    for (const { specifier, typeOnly } of byPath.get(path)?.imports ?? []) {
      const target = typeOnly ? undefined : resolved(path, specifier);
      if (target) visit(target, [...trail, path]);
    }
    done.add(path);
  };
  for (const path of byPath.keys()) visit(path, []);
  return found;
}

function unlistedChance({ path, chance }: SourceFile): string[] {
  const names = CHANCE.find((listed) => listed.path === path)?.names ?? [];
  return chance
    .filter(({ text }) => !names.includes(text))
    .map(({ line, text }) => `${path}:${line}: ${text}`);
}

function oversize({ path, lines, functions }: SourceFile): string[] {
  const length = lines.at(-1) === '' ? lines.length - 1 : lines.length;
  return [
    ...(length > FILE_LINES ? [`${path}: ${length} lines`] : []),
    ...functions
      .filter((each) => each.length > FUNCTION_LINES)
      .map((each) => `${path}:${each.line}: a function of ${each.length} lines`),
    ...lines.flatMap((line, index) =>
      line.length > COLUMNS ? [`${path}:${index + 1}: ${line.length} columns`] : [],
    ),
  ];
}

function leftovers({ path, comments, anyCasts, focused }: SourceFile): string[] {
  const notes = comments.filter(({ text }) => /\b(TODO|FIXME|XXX)\b/.test(text));
  return [...notes, ...anyCasts, ...focused].map(({ line, text }) => `${path}:${line}: ${text.trim()}`);
}

/** The rows of the table: code, class, retryable, meaning, what to do. */
function documentedErrors(markdown: string) {
  return markdown
    .split('\n')
    .filter((line) => line.startsWith('| `'))
    .map((line) => line.split(/(?<!\\)\|/).map((cell) => cell.trim()))
    .map(([, code = '', name = '', retryable = '', meaning = '', remedy = '']) => ({
      code: code.replaceAll('`', ''),
      name: name.replaceAll('`', ''),
      retryable,
      meaning,
      remedy,
    }));
}
