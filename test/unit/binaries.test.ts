import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import { ensureServers, findServer } from '../support/binaries.ts';

function folderWith(program: string): { path: string } & Disposable {
  const path = mkdtempSync(join(tmpdir(), 'granary-'));
  writeFileSync(join(path, program), '#!/bin/sh\n');
  chmodSync(join(path, program), 0o755);
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true }) };
}

test.each([
  { name: 'nats', title: 'nats-server', debian: 'nats-server', brew: 'nats-server' },
  { name: 'postgres', title: 'PostgreSQL', debian: 'postgresql', brew: 'postgresql' },
] as const)('a missing $title is one line that says how to get it', ({ name, title, debian, brew }) => {
  const search = () => findServer(name, { env: { PATH: '' }, usualFolders: false });
  expect(search).toThrow(`${title} is not installed`);
  expect(search).toThrow(`apt-get install ${debian} (Debian), brew install ${brew} (macOS) or https://`);
  expect(search).toThrow(/^[^\n]*$/);
});

test('a server is found on the PATH, and where the user says it is', () => {
  using folder = folderWith('nats-server');
  const program = join(folder.path, 'nats-server');
  expect(findServer('nats', { env: { PATH: `/nowhere:${folder.path}` }, usualFolders: false })).toBe(program);
  expect(findServer('nats', { env: { NATS_SERVER: program }, usualFolders: false })).toBe(program);
});

test('a place that the user named and that holds no program is an error, whatever else is installed', () => {
  using folder = folderWith('initdb');
  const env = { PATH: folder.path, PG_BIN: '/nowhere' };
  expect(() => findServer('postgres', { env })).toThrow('PG_BIN is /nowhere, but there is no initdb in it');
  expect(() => findServer('nats', { env: { NATS_SERVER: folder.path } })).toThrow(
    `NATS_SERVER is ${folder.path}, but that is not a program`,
  );
});

test('a place that the user named wrongly is told before anything is installed', () => {
  onTestFinished(() => void vi.unstubAllEnvs());
  vi.stubEnv('NATS_SERVER', '/nowhere');
  expect(() => ensureServers(['nats'])).toThrow('NATS_SERVER is /nowhere');
});
