import { fileURLToPath } from 'node:url';
import { TestCluster } from 'granary/testing';
import { describe, expect, test } from 'vitest';
import { Account } from '../../samples/bank/account.ts';
import { StandingOrder } from '../../samples/bank/standing-order.ts';
import { Transfer } from '../../samples/bank/transfer.ts';
import { Bank } from '../../samples/demo/bank.ts';
import { EmbeddedStage } from '../../samples/demo/embedded.ts';
import { readOptions } from '../../samples/demo/options.ts';
import { perform } from '../../samples/demo/perform.ts';
import { type Books, prove } from '../../samples/demo/proof.ts';
import { startNats } from '../support/nats-server.ts';
import { startPostgres } from '../support/postgres.ts';
import { spawnNode } from '../support/processes.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const demo = (...args: string[]) => spawnNode(`${ROOT}samples/demo/main.ts`, { cwd: ROOT, args });

describe('the demo', () => {
  test('lets a silo crash, one leave and join, and proves that no cent is missing', async () => {
    await using program = demo('--seconds', '3', '--accounts', '120');
    expect(await program.exited, program.output).toEqual({ code: 0, signal: null });
    expect(program.output).toMatch(
      /crashes, with \d+ accounts\n(.*\n)*.*recovered in (.*\n)*.*leaves, with (.*\n)*.*joins\n/,
    );
    expect(program.output).toMatch(/the grains say +120,000\.00, 0 of 120/);
    expect(program.output).toMatch(/the store says +120,000\.00, 0 of 120/);
    expect(program.output).toContain('PROVED: not a cent is missing.');
  });

  test('runs against silos in processes of their own while one of them is killed', async () => {
    await using server = await startNats();
    await using postgres = await startPostgres();
    const silo = (name: string) =>
      spawnNode(`${ROOT}samples/silo/main.ts`, {
        cwd: ROOT,
        env: {
          ...{ NATS_URL: server.url, DATABASE_URL: postgres.url },
          ...{ GRANARY_SILO: name, GRANARY_HEALTH_PORT: '0', GRANARY_LOG: 'error' },
        },
      });
    await using one = silo('one');
    await using two = silo('two');
    await Promise.all([one.line(/takes calls/), two.line(/takes calls/)]);
    await using program = demo(
      ...['--servers', server.url, '--database', postgres.url, '--seconds', '6', '--accounts', '100'],
    );
    await program.line(/[1-9]\d* transfers, .* accounts on .*two [1-9]/);
    two.kill9();
    expect(await program.exited, program.output).toEqual({ code: 0, signal: null });
    expect(program.output).toMatch(/silo two is gone, with [1-9]\d* accounts/);
    expect(program.output).toMatch(/the store says +100,000\.00, 0 of 100/);
    expect(program.output).toContain('PROVED: not a cent is missing.');
  });

  test('draws over its picture on a terminal', async () => {
    const stage = await EmbeddedStage.start();
    const written: string[] = [];
    const screen = { isTTY: true, write: (text: string) => written.push(text) };
    const options = readOptions(['--seconds', '2', '--accounts', '50']);
    expect(options && (await perform(stage, options, screen))).toBe(0);
    await stage.end();
    expect(written.some((text) => text.startsWith('\x1b['))).toBe(true);
    expect(written.join('')).toMatch(/ {2}a +up +█+ +\d+ accounts\n/);
    expect(written.at(-1)).toContain('PROVED');
  });

  test('ends with 1 when the cluster cannot be reached', async () => {
    await using program = demo('--servers', 'nats://127.0.0.1:1');
    expect(await program.exited).toEqual({ code: 1, signal: null });
    expect(program.output).toMatch(/the demo could not be played to its end: no NATS server at/);
  });

  test('ends with 1, and says what to do, when the cluster has no silo', async () => {
    await using server = await startNats();
    await using program = demo('--servers', server.url);
    expect(await program.exited).toEqual({ code: 1, signal: null });
    expect(program.output).toMatch(/no silo of the cluster was found until the deadline; start one/);
  });

  test('ends with 2, an explanation and its usage when an option is wrong', async () => {
    await using program = demo('--second', '3');
    expect(await program.exited).toEqual({ code: 2, signal: null });
    expect(program.output).toMatch(/^Unknown option '--second'/);
    expect(program.output).toContain('--seconds <n>');
  });
});

describe('the options of the demo', () => {
  test.each([
    [['--accounts', '1'], `--accounts is '1'; it must be a whole number from 2`],
    [['--seconds', 'ten'], `--seconds is 'ten'; it must be a whole number`],
    [['--transfers', '1.5'], `--transfers is '1.5'`],
    [['--callers', ''], `--callers is ''`],
    [['--cluster', 'shop'], '--cluster is of a running cluster: give --servers too'],
    [['--database', 'postgres://h/d'], '--database is of a running cluster'],
    [['more'], 'more'],
  ])('%j are refused', (args, message) => {
    expect(() => readOptions(args)).toThrow(message);
  });

  test('ask for help', () => {
    expect(readOptions(['--help'])).toBeUndefined();
  });
});

describe('the proof', () => {
  const books: Books = {
    opened: 300,
    expected: [50, 150, 100],
    grains: [50, 150, 100],
    stored: [50, 150, 100],
    irregular: 0,
  };

  test('holds when every account has what it must have', () => {
    expect(prove(books)).toMatchObject({ exitCode: 0 });
    expect(prove({ ...books, stored: undefined })).toMatchObject({ exitCode: 0 });
  });

  test.each<[string, Partial<Books>, string]>([
    ['a cent is missing', { grains: [50, 149, 100] }, '0.01 missing'],
    ['a cent is missing in the store alone', { stored: [50, 150, 99] }, '0.01 missing'],
    ['there is a cent too much', { grains: [51, 150, 100] }, '0.01 too much'],
    [
      'a transfer happened twice',
      { grains: [0, 200, 100], stored: [0, 200, 100] },
      '2 of 3 accounts are wrong',
    ],
    ['a standing order was not paid', { irregular: 1 }, '1 payments of standing orders'],
    ['an account is not stored', { stored: [50, 150] }, '1 of 3 accounts are wrong'],
  ])('fails when %s', (_what, wrong, line) => {
    const proof = prove({ ...books, ...wrong });
    expect(proof.exitCode).toBe(1);
    expect(proof.lines.join('\n')).toContain(line);
    expect(proof.lines.at(-1)).toMatch(/^NOT PROVED/);
  });

  test('fails for a bank that lost a cent, through the grains and in the store', async () => {
    await using cluster = await TestCluster.start({
      silos: ['a'],
      grains: [Account, Transfer, StandingOrder],
    });
    const bank = new Bank(cluster.client, 10);
    await bank.open();
    const [account = ''] = bank.accounts;
    expect(await cluster.grain(Account, account).debit('nobody asked for it', 1)).toBe(true);
    await bank.endOrders();
    const grains = await bank.balances();
    const { exitCode, lines } = prove({
      ...{ opened: 10 * 1_000_00, expected: bank.expected },
      ...{ grains, stored: undefined, irregular: bank.irregular },
    });
    expect(exitCode).toBe(1);
    expect(lines.join('\n')).toContain('0.01 missing');
  });
});
