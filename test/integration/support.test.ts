import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { createConnection, type Socket } from 'node:net';
import { fileURLToPath } from 'node:url';
import { connect } from 'nats';
import pg from 'pg';
import { describe, expect, test, vi } from 'vitest';
import { startNats } from '../support/nats-server.ts';
import { NetworkNamespaces, whyNoNamespaces } from '../support/network-namespaces.ts';
import { startPostgres } from '../support/postgres.ts';
import { Program, spawnNode } from '../support/processes.ts';

const program = (name: string) => fileURLToPath(new URL(`programs/${name}`, import.meta.url));

async function dial(port: number): Promise<Socket> {
  const socket = createConnection({ port, host: '127.0.0.1' });
  socket.resume();
  await once(socket, 'connect');
  return socket;
}

/** Resolves when the other side has closed the connection, or broken it. */
function hungUp(socket: Socket): Promise<void> {
  socket.on('error', () => {});
  return new Promise((resolve) => socket.once('close', () => resolve()));
}

describe('a nats-server for tests', () => {
  test('serves with the limits it was given until it is stopped, and leaves nothing', async () => {
    const server = await startNats({ maxPayload: 12_345, jetstream: true });
    const connection = await connect({ servers: server.url });
    expect(connection.info).toMatchObject({ max_payload: 12_345, jetstream: true });
    await connection.close();
    await server.stop();
    await expect(dial(server.port)).rejects.toThrow('ECONNREFUSED');
    expect(existsSync(server.folder)).toBe(false);
  });

  test('breaks its connections when killed, and comes back on its port', async () => {
    await using server = await startNats();
    const socket = await dial(server.port);
    const closed = hungUp(socket);
    await server.kill();
    await closed;
    await server.restart();
    (await dial(server.port)).destroy();
  });

  test('answers nothing while paused, and everything afterwards', async () => {
    await using server = await startNats();
    const connection = await connect({ servers: server.url });
    await server.pause();
    let answered = false;
    const answer = connection.flush().then(() => {
      answered = true;
    });
    await new Promise((resolve) => setTimeout(resolve, 200)); // No event says that nothing happens.
    expect(answered).toBe(false);
    server.resume();
    await answer;
    await connection.close();
  });

  test('ends, with its folder, when the process that started it is killed', async () => {
    await using careless = spawnNode(program('careless.ts'));
    const [, port, folder = ''] = await careless.line(/port (\d+) folder (.+)/);
    const socket = await dial(Number(port));
    const closed = hungUp(socket);
    expect(existsSync(folder)).toBe(true);
    careless.kill9();
    await closed;
    await vi.waitFor(() => expect(existsSync(folder)).toBe(false), { timeout: 10_000 });
  });

  test('says in its error what the server printed when it does not start', async () => {
    await expect(startNats({ config: 'no_such_setting: 1' })).rejects.toThrow(/no_such_setting/);
  });
});

describe('a PostgreSQL for tests', () => {
  test('keeps what was committed over both kinds of restart, and leaves nothing when stopped', async () => {
    const server = await startPostgres();
    const url = await server.createDatabase();
    const query = async (sql: string) => {
      const client = new pg.Client({ connectionString: url });
      await client.connect();
      const { rows } = await client.query(sql);
      await client.end();
      return rows;
    };
    await query('CREATE TABLE kept (n int)');
    await query('INSERT INTO kept VALUES (1)');
    await server.restart({ mode: 'immediate' });
    await query('INSERT INTO kept VALUES (2)');
    await server.restart({ mode: 'fast' });
    expect(await query('SELECT n FROM kept ORDER BY n')).toEqual([{ n: 1 }, { n: 2 }]);
    await server.stop();
    await expect(dial(server.port)).rejects.toThrow('ECONNREFUSED');
    expect(existsSync(server.folder)).toBe(false);
  });
});

describe('a Node process of its own', () => {
  test('gets arguments, environment and lines, and tells what it printed', async () => {
    await using echo = spawnNode(program('echo.ts'), { args: ['you'], env: { ECHO_COLOR: 'blue' } });
    expect((await echo.line(/hello (.*)/))[1]).toBe('you blue');
    echo.send({ n: 1 });
    echo.send({ n: 2 });
    expect((await echo.line(/heard (.*)/))[1]).toBe('{"n":1}');
    expect((await echo.line(/heard (.*)/))[1]).toBe('{"n":2}');
  });

  test('fails the wait for a line with its output when it exits first', async () => {
    await using echo = spawnNode(program('echo.ts'), { args: ['you'] });
    await echo.line(/hello/);
    const never = echo.line(/never/);
    echo.send({ exit: 3 });
    await expect(never).rejects.toThrow(/exited \(3\).*\/never\/\nhello you/s);
    expect(await echo.exited).toEqual({ code: 3, signal: null });
    await expect(echo.line(/never/)).rejects.toThrow(/exited/);
  });

  test('fails the wait for a line after the time it was given', async () => {
    await using echo = spawnNode(program('echo.ts'));
    await echo.line(/hello/);
    await expect(echo.line(/never/, 50)).rejects.toThrow(/50 ms/);
  });

  test('freezes, goes on and is killed', async () => {
    await using echo = spawnNode(program('echo.ts'));
    await echo.line(/hello/);
    await echo.sigstop();
    echo.send({ n: 1 });
    await expect(echo.line(/heard/, 200)).rejects.toThrow(/200 ms/);
    echo.sigcont();
    await echo.line(/heard/);
    echo.kill9();
    expect(await echo.exited).toEqual({ code: null, signal: 'SIGKILL' });
  });
});

const LISTEN = `
  require('net').createServer((socket) => socket.on('data', (text) => console.log('heard ' + text)))
    .listen(4000, process.argv[1], () => console.log('ready'))`;
const SPEAK = `
  const socket = require('net').connect(4000, process.argv[1], () => console.log('ready'));
  process.stdin.on('data', (text) => socket.write(text))`;

describe.skipIf(whyNoNamespaces())('hosts in networks that can be cut', () => {
  test('reach each other in one network while cut apart in the other, until that heals', async () => {
    await using network = new NetworkNamespaces(['one', 'two'], ['first', 'second']);
    const [one, two] = [network.host('one'), network.host('two')];
    const talk = async (name: string) => {
      const run = (script: string, namespace: string) =>
        new Program(process.execPath, { args: ['-e', script, two.address(name)], namespace });
      const listener = run(LISTEN, two.namespace);
      await listener.ready(/ready/);
      const speaker = run(SPEAK, one.namespace);
      await speaker.ready(/ready/);
      return { listener, speaker };
    };
    const [first, second] = [await talk('first'), await talk('second')];
    network.split('first', ['one']);
    first.speaker.send('over');
    second.speaker.send('over');
    await second.listener.line(/heard "over"/);
    await expect(first.listener.line(/heard/, 300)).rejects.toThrow(/300 ms/);
    network.heal('first');
    await first.listener.line(/heard "over"/);
  });
});
