import { execFile } from 'node:child_process';
import { cp, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';

const run = promisify(execFile);
const root = join(import.meta.dirname, '../..');
const TSCONFIG = {
  compilerOptions: {
    ...{ target: 'es2022', module: 'nodenext', strict: true, outDir: 'out' },
  },
  files: ['hello.ts', 'all.ts'],
};
/** Every entry point, with types. */
const ALL = `
import { Client, inProcess, memory, Silo } from 'granary';
import { nats } from 'granary/nats';
import { pglite, postgres } from 'granary/postgres';
import { TestCluster, storeConformance } from 'granary/testing';
console.log([Client, inProcess, memory, Silo, nats, pglite, postgres, TestCluster, storeConformance].length);
`;

let folder: string;

/** An empty project with the packed package in it, as a stranger would have it. */
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'granary-package-'));
  const { stdout } = await run('npm', ['pack', '--json', '--pack-destination', folder], { cwd: root });
  const [{ filename }] = JSON.parse(stdout.slice(stdout.indexOf('['))) as [{ filename: string }];
  await writeFile(
    join(folder, 'package.json'),
    JSON.stringify({ name: 'app', type: 'module', private: true }),
  );
  await run('npm', ['install', join(folder, filename)], { cwd: folder });
}, 180_000);

afterAll(() => rm(folder, { recursive: true, force: true }));

test('the package installs in under 20 MB and 40 packages, none with an install script', async () => {
  const packages = await packagesIn(join(folder, 'node_modules'));
  const scripted = packages.filter(({ scripts = {} }) =>
    ['preinstall', 'install', 'postinstall'].some((name) => name in scripts),
  );
  expect(scripted.map(({ name }) => name)).toEqual([]);
  expect(packages.length).toBeLessThanOrEqual(40);
  expect(await bytesOf(join(folder, 'node_modules'))).toBeLessThan(20 * 1024 * 1024);
});

test('hello world and every entry point compile and run in an empty project', async () => {
  await cp(join(root, 'samples/hello.ts'), join(folder, 'hello.ts'));
  await writeFile(join(folder, 'all.ts'), ALL);
  await writeFile(join(folder, 'tsconfig.json'), JSON.stringify(TSCONFIG));
  await cp(join(root, 'node_modules/@types'), join(folder, 'node_modules/@types'), { recursive: true });
  await cp(join(root, 'node_modules/undici-types'), join(folder, 'node_modules/undici-types'), {
    recursive: true,
  });
  await run('node', [join(root, 'node_modules/typescript/bin/tsc'), '-p', folder]);
  expect((await run('node', ['out/hello.js'], { cwd: folder })).stdout).toBe('1\n');
  expect((await run('node', ['out/all.js'], { cwd: folder })).stdout).toBe('9\n');
}, 60_000);

interface Package {
  readonly name: string;
  readonly scripts?: Record<string, string>;
}

async function packagesIn(modules: string): Promise<Package[]> {
  const names = await readdir(modules);
  const folders = await Promise.all(
    names.map(async (name) =>
      name.startsWith('@')
        ? (await readdir(join(modules, name))).map((inner) => join(name, inner))
        : name.startsWith('.')
          ? []
          : [name],
    ),
  );
  return Promise.all(
    folders.flat().map(async (name) => {
      const text = await readFile(join(modules, name, 'package.json'), 'utf8');
      return JSON.parse(text) as Package;
    }),
  );
}

async function bytesOf(path: string): Promise<number> {
  const entry = await stat(path);
  if (!entry.isDirectory()) return entry.size;
  const sizes = await Promise.all((await readdir(path)).map((name) => bytesOf(join(path, name))));
  return sizes.reduce((sum, size) => sum + size, 0);
}
