import { spawnSync } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import { chosen, MEASURES } from '../../bench/measures.ts';

/** The command, which has to end before it starts anything. */
function bench(program: 'main' | 'check', args: readonly string[], env: NodeJS.ProcessEnv = {}) {
  const command = ['--import', 'tsx', `test/bench/${program}.ts`, ...args];
  const options = { encoding: 'utf8', timeout: 20_000, env: { ...process.env, ...env } } as const;
  const { status, stdout, stderr } = spawnSync(process.execPath, command, options);
  return { status, stdout, stderr };
}

describe('wrong input is told in one line, and fails', () => {
  test.each([
    ['main', ['--only', 'nothing'], "there is no measure 'nothing'; see --help"],
    ['main', ['--against', 'no-such-commit'], "there is no commit 'no-such-commit'"],
    ['main', ['--rounds', '1.5'], '--rounds takes a whole number from 1'],
    ['main', ['--profile', '--rounds', '5'], '--profile does not go with --rounds'],
    ['main', ['--rounds', '-1'], "Option '--rounds' argument is ambiguous; see --help"],
    ['check', ['--only', 'streams'], "'streams' is not judged by bench:check; see --help"],
    ['check', ['HEAD', 'no-such-commit'], "there is no commit 'no-such-commit'"],
    ['check', ['--minutes', '0'], '--minutes takes a number over 0'],
  ] as const)('%s %j', (program, args, line) => {
    expect(bench(program, args)).toEqual({ status: 1, stdout: '', stderr: `${line}\n` });
  });

  test('also a server that is not where the user says', () => {
    expect(bench('main', ['--only', 'saves'], { PG_BIN: '/nonexistent' })).toEqual({
      status: 1,
      stdout: '',
      stderr: 'PG_BIN is /nonexistent, but there is no initdb in it\n',
    });
  });
});

test('a measure that is not judged is told from one that there is not', () => {
  const judged = MEASURES.filter(({ name }) => name === 'local');
  expect(chosen(['local'], judged)).toEqual(judged);
  expect(() => chosen(['three'], judged)).toThrow('not judged');
  expect(() => chosen(['four'], judged)).toThrow('no measure');
});
