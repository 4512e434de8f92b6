import { describe, expect, it } from 'vitest';
import { RecordingReceiver } from '../../../framework/testing/recording-receiver.ts';
import { inProcess } from '../../../framework/transport/in-process.ts';
import { type NatsOptions, nats } from '../../../framework/transport/nats.ts';
import { parseAnnounced, parseServers, serverText } from '../../../framework/transport/nats-servers.ts';
import { Subjects } from '../../../framework/transport/nats-subjects.ts';

describe('the servers of nats()', () => {
  it.each([
    ['nats://a:4223', ['a:4223']],
    ['a', ['a:4222']],
    ['nats://my_host', ['my_host:4222']],
    ['nats://a, tls://b:1 ,10.0.0.1:2', ['a:4222', 'b:1', '10.0.0.1:2']],
    [
      ['nats://[::1]:4223', 'b'],
      ['[::1]:4223', 'b:4222'],
    ],
  ])('%j are %j', (given, expected) => {
    expect(parseServers(given).servers.map(serverText)).toEqual(expected);
  });

  it('may bring a user with a password, or a token', () => {
    expect(parseServers(['a', 'nats://u:p%40s%3As@b']).credentials).toEqual({ user: 'u', pass: 'p@s:s' });
    expect(parseServers('nats://tok@b').credentials).toEqual({ token: 'tok' });
    expect(parseServers('nats://b').credentials).toEqual({});
  });

  it('that another server announces are understood, or ignored', () => {
    expect(['10.0.0.1:4222', '[::1]:5'].map((text) => parseAnnounced(text)?.port)).toEqual([4222, 5]);
    expect(parseAnnounced(':::')).toBeUndefined();
  });
});

describe('a wrong option is refused by name:', () => {
  it.each<[string, unknown]>([
    ['servers', undefined],
    ['servers', {}],
    ['servers', { servers: [] }],
    ['servers', { servers: '' }],
    ['servers', { servers: [4222] }],
    ['servers', { servers: 'http://a' }],
    ['servers', { servers: 'nats://a,,nats://b' }],
    ['servers', { servers: 'nats://a:99999' }],
    ['servers', { servers: 'nats://u:%zz@a' }],
    ['connectTimeoutMs', { servers: 'a', connectTimeoutMs: 0 }],
    ['connectTimeoutMs', { servers: 'a', connectTimeoutMs: '5s' }],
    ['name', { servers: 'a', name: 7 }],
    ['connection', { servers: 'a', connection: 'x' }],
  ])('%s in nats(%j)', (option, options) => {
    let error: unknown;
    try {
      nats(options as NatsOptions);
    } catch (caught) {
      error = caught;
    }
    expect(error).toMatchObject({ code: 'INVALID_CONFIG' });
    expect(String(error)).toContain(option);
  });

  it('never shows a password', () => {
    expect(() => nats({ servers: 'nats://u:secret@a:99999' })).toThrow(/^(?!.*secret).*servers/);
  });

  it('maxPayloadBytes in inProcess()', () => {
    expect(() => inProcess({ maxPayloadBytes: 1.5 })).toThrow(/maxPayloadBytes/);
  });

  it('the address of a second node with the same one', async () => {
    const network = inProcess();
    const options = { cluster: 'c', address: 'a~1', receiver: new RecordingReceiver() };
    await network.open(options);
    await expect(network.open(options)).rejects.toMatchObject({ code: 'INVALID_CONFIG' });
  });
});

describe('subjects', () => {
  const subjects = new Subjects('shop', 'a~1');

  it('bring back the target and the ticket of a message that nobody got', () => {
    for (const to of ['b~1', 'any', undefined]) {
      for (const ticket of [1, 2 ** 40]) {
        expect(subjects.parseReturn('data', subjects.return('data', to, ticket))).toEqual({ to, ticket });
      }
    }
  });

  it('have one token for each name, so that no name can change what is subscribed to', () => {
    expect(subjects.node('control', 'b~2')).toBe('granary.shop.control.b~2');
    expect(subjects.return('data', 'b~2', 5)).toBe('granary.shop.return.data.a~1.b~2.5');
  });

  it('give a plain call its tokens', () => {
    expect(subjects.callTokens('granary.shop.call.Counter.a%2Eb.add')).toEqual(['Counter', 'a%2Eb', 'add']);
  });
});
