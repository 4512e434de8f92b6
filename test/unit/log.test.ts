import { Writable } from 'node:stream';
import { pino } from 'pino';
import { describe, expect, test } from 'vitest';
import { RuntimeEvents } from '../../framework/observability/events.ts';
import { type LogOption, logEvents, NodeLog } from '../../framework/observability/log.ts';

const news = { type: 'siloStarted', silo: 'a~1' } as const;
const trouble = { type: 'connectionChanged', connected: false } as const;

/** What a pino logger of one's own writes while these events happen. */
function written(level: string): { silo: string; msg: string }[] {
  const lines: { silo: string; msg: string }[] = [];
  const stream = new Writable({
    write(chunk, _encoding, done) {
      lines.push(JSON.parse(String(chunk)) as (typeof lines)[0]);
      done();
    },
  });
  const events = new RuntimeEvents();
  logEvents(events, new NodeLog(pino({ level }, stream), { silo: 'a' }));
  events.publish(news);
  events.publish(trouble);
  return lines;
}

describe('the log of a node', () => {
  test('writes to the logger that was given, with the name of the node, what its level lets through', () => {
    expect(written('info')).toMatchObject([
      { silo: 'a', msg: 'the silo has started' },
      { silo: 'a', msg: 'the connection to the cluster is lost' },
    ]);
    expect(written('warn')).toMatchObject([{ msg: 'the connection to the cluster is lost' }]);
  });

  test.each<[LogOption | undefined, boolean]>([
    ['trace', true],
    ['info', true],
    ['warn', false],
    [undefined, false],
    ['silent', false],
  ])('of level %s is asked for news: %s', (option, asked) => {
    const events = new RuntimeEvents();
    const log = new NodeLog(option, {});
    let opened = false;
    Object.defineProperty(log, 'logger', {
      get: () => {
        opened = true;
        return pino({ level: 'silent' });
      },
    });
    logEvents(events, log);
    events.publish(news);
    expect(opened).toBe(asked);
    events.publish(trouble);
    expect(opened).toBe(true);
  });

  test('of a level alone is a pino logger of that level', () => {
    expect(new NodeLog('error', { silo: 'a' }).logger).toMatchObject({ level: 'error' });
    expect(new NodeLog(undefined, {}).logger).toMatchObject({ level: 'warn' });
  });
});
