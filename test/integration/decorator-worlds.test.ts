import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Outcome } from './worlds/main.ts';

const run = promisify(execFile);
const root = join(import.meta.dirname, '../..');
const bin = (name: string) => join(root, 'node_modules/.bin', name);

/** TypeScript's options that decide what decorators and fields become. */
interface World {
  readonly experimentalDecorators: boolean;
  readonly useDefineForClassFields: boolean;
}

const WORLDS = [true, false].flatMap((experimentalDecorators) =>
  [true, false].map((useDefineForClassFields) => ({ experimentalDecorators, useDefineForClassFields })),
);
const nameOf = ({ experimentalDecorators, useDefineForClassFields }: World) =>
  `${experimentalDecorators ? 'older' : 'standard'}-${useDefineForClassFields ? 'define' : 'assign'}`;

/** Private members, which the older rules cannot decorate. */
const PRIVATE = `
import { Grain, grain, method, state } from 'granary';
export const PRIVATE = {
  'a private method': () => {
    @grain() class Wrong extends Grain { @method() async #go() {} go() { return this.#go(); } }
    return Wrong;
  },
  'a private field': () => {
    @grain() class Wrong extends Grain { @state() #count = 0; @method() async go() { return this.#count; } }
    return Wrong;
  },
  'a private accessor': () => {
    @grain() class Wrong extends Grain {
      @state() accessor #count = 0;
      @method() async go() { return this.#count; }
    }
    return Wrong;
  },
};`;

/** Imports what was compiled, one after the other, and prints what came of each. */
const RUNNER = `
const outcomes = {};
for (const [name, file, more] of JSON.parse(process.argv[2])) {
  const { run } = await (file.endsWith('.ts') ? runTypeScript(file, name) : import(file));
  outcomes[name] = await run(more && (await import(more)).PRIVATE);
}
console.log(JSON.stringify(outcomes));
async function runTypeScript(file, name) {
  const { tsImport } = await import('tsx/esm/api');
  return tsImport(file, { parentURL: import.meta.url, tsconfig: \`tsconfig.\${name}.json\` });
}`;

const REFUSALS: Readonly<Record<string, RegExp>> = {
  'a static method': /^class Wrong: @method on make: a static method .* remove 'static'$/,
  'a static field': /^class Wrong: @state on count: a static field .* remove 'static'$/,
  'a static accessor': /^class Wrong: @state on count: a static field .* remove 'static'$/,
  'a method named by a symbol': /^class Wrong: @method on Symbol\(s\): .* use a string$/,
  'a field named by a symbol': /^class Wrong: @state on Symbol\(s\): .* use a string$/,
  '@method on a field': /^class Wrong: @method on go: it is no method; use @state\(\) for fields$/,
  '@method on an accessor field': /^class Wrong: @method on go: it is no method; use @state\(\) for fields$/,
  '@method on a getter': /^class Wrong: @method on go: it is no method; use @state\(\) for fields$/,
  '@state on a method': /^class Wrong: @state on go: it is no field; use @method\(\) for methods$/,
  '@state on a getter': /^class Wrong: @state on count: it is no field; decorate the field behind it$/,
  '@reminder on a field': /^class Wrong: @reminder on count: it is no method; a reminder calls one$/,
  '@subscribe on a static method': /^class Wrong: @subscribe on onNews: a static method .* 'static'$/,
  'no @grain': /^class Wrong extends Grain but is not decorated: put @grain\(\) above it$/,
  'no @grain, but on the parent': /^class Wrong extends Grain but is not decorated: put @grain\(\) above it$/,
  '@grain without parentheses': /^@grain stands without parentheses; write @grain\(\)$/,
  '@method without parentheses': /^@method stands without parentheses; write @method\(\)$/,
  '@state without parentheses': /^@state stands without parentheses; write @state\(\)$/,
  '@reminder without parentheses': /^@reminder stands without parentheses; write @reminder\(\)$/,
  '@subscribe without parentheses': /^@subscribe stands without .* write @subscribe\('topic'\)$/,
};

const PRIVATE_REFUSALS: Readonly<Record<string, RegExp>> = {
  'a private method': /^class Wrong: @method on #go: a private method .* remove the '#' or the decorator$/,
  'a private field': /^class Wrong: @state on #count: a private field .* remove the '#'$/,
  'a private accessor': /^class Wrong: @state on #count: a private field .* remove the '#'$/,
};

const SHELF = [
  '[1,10,null,0,["first"],0]', // the defaults
  'nobody',
  '[3,12,"1",2,["first","2"],1]',
  '[3,12,"1",0,["first","2"],0]', // what was saved, in the next activation
  true,
  'the shelf of ada',
  [1, 2, 3],
  42,
  'INVALID_ARGUMENTS',
  ['daily'],
  '[3,12,"1",0,["first","2","hello"],0]',
  true,
  ...['METHOD_NOT_FOUND', 'METHOD_NOT_FOUND', 'METHOD_NOT_FOUND'],
];

let folder: string;

/** A project that uses the package as it is built. */
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'granary-worlds-'));
  const modules = join(folder, 'node_modules');
  const granary = join(modules, 'granary');
  await mkdir(granary, { recursive: true });
  for (const name of await readdir(join(root, 'node_modules')))
    await symlink(join(root, 'node_modules', name), join(modules, name));
  await cp(join(root, 'package.json'), join(granary, 'package.json'));
  await cp(join(root, 'test/integration/worlds'), join(folder, 'src'), { recursive: true });
  await writeFile(join(folder, 'package.json'), JSON.stringify({ name: 'app', type: 'module' }));
  await writeFile(join(folder, 'src/private.js'), PRIVATE);
  await writeFile(join(folder, 'run.mjs'), RUNNER);
  await run(bin('tsc'), ['-p', join(root, 'tsconfig.build.json'), '--outDir', join(granary, 'dist')]);
});

afterAll(() => rm(folder, { recursive: true, force: true }));

/** What comes of programs, by name: each is a file, and one of more that is wrong. */
async function outcomesOf(
  programs: readonly (readonly [name: string, file: string, more?: string])[],
): Promise<Record<string, Outcome>> {
  const { stdout } = await run('node', ['run.mjs', JSON.stringify(programs)], { cwd: folder });
  return JSON.parse(stdout) as Record<string, Outcome>;
}

async function writeConfig(world: World): Promise<string> {
  const file = join(folder, `tsconfig.${nameOf(world)}.json`);
  const options = { target: 'es2022', module: 'nodenext', strict: true, rootDir: 'src', skipLibCheck: true };
  const compilerOptions = { ...options, ...world, outDir: `tsc/${nameOf(world)}` };
  await writeFile(file, JSON.stringify({ compilerOptions, include: ['src'] }));
  return file;
}

function expectRight(
  name: string,
  outcomes: Readonly<Record<string, Outcome>>,
  more: Readonly<Record<string, RegExp>> = {},
): void {
  const outcome = outcomes[name];
  expect(outcome?.standard).toBe(!name.includes('older'));
  expect(outcome?.shelf).toEqual(SHELF);
  const expected = Object.entries({ ...REFUSALS, ...more }).map(([what, { source }]) => [
    what,
    expect.stringMatching(new RegExp(source.replace('^', '^INVALID_CONFIG: '))),
  ]);
  expect(outcome?.misuses).toEqual(Object.fromEntries(expected));
}

describe('decorators do the same in every world', () => {
  test('compiled by tsc, also with a parent class from another world', async () => {
    const out = (world: string) => join(folder, 'tsc', world);
    for (const world of WORLDS) await run(bin('tsc'), ['-p', await writeConfig(world)]);
    const mixed = [
      ['older-define', 'standard-define'],
      ['standard-define', 'older-define'],
      ['standard-assign', 'older-assign'],
    ] as const;
    for (const [parent, child] of mixed) {
      const folder = out(`${child}-with-a-parent-of-another-world`);
      await cp(out(child), folder, { recursive: true });
      await cp(join(out(parent), 'parent.js'), join(folder, 'parent.js'));
    }
    const names = await readdir(join(folder, 'tsc'));
    expect(names).toHaveLength(WORLDS.length + mixed.length);
    const outcomes = await outcomesOf(names.map((name) => [name, join(out(name), 'main.js')]));
    for (const name of names) expectRight(name, outcomes);
  });

  test('run by tsx', async () => {
    await Promise.all(WORLDS.map(writeConfig));
    const main = join(folder, 'src/main.ts');
    const outcomes = await outcomesOf(WORLDS.map((world) => [nameOf(world), main]));
    for (const world of WORLDS) expectRight(nameOf(world), outcomes);
  });

  test('bundled by esbuild, for Node.js or for whatever a later step makes of it', async () => {
    const esbuild = (from: string, to: string, options: readonly string[]) =>
      run(bin('esbuild'), [from, `--outfile=${to}`, '--format=esm', ...options], { cwd: folder });
    const bundle = ['--bundle', '--platform=node', '--packages=external'];
    const programs: [string, string, string?][] = [];
    for (const world of WORLDS) {
      const config = `--tsconfig=${await writeConfig(world)}`;
      const file = join(folder, `esbuild/${nameOf(world)}`);
      await esbuild('src/main.ts', `${file}.mjs`, [...bundle, config, '--target=es2022']);
      await esbuild('src/main.ts', `${file}-next.js`, [...bundle, config, '--target=esnext']);
      await esbuild(`${file}-next.js`, `${file}-lowered.mjs`, ['--target=es2022']);
      programs.push([nameOf(world), `${file}.mjs`], [`${nameOf(world)}-lowered`, `${file}-lowered.mjs`]);
    }
    await esbuild('src/private.js', join(folder, 'esbuild/private.mjs'), ['--target=es2022']);
    programs.push(['private', programs[4]?.[1] as string, join(folder, 'esbuild/private.mjs')]);
    const outcomes = await outcomesOf(programs);
    for (const [name, , more] of programs) expectRight(name, outcomes, more ? PRIVATE_REFUSALS : {});
  });
});
