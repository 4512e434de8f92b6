import { expect, test, vi } from 'vitest';
import { grainTypeOf } from '../../../framework/grain/grain-type.ts';
import { Grain, grain, subscribe } from '../../../framework/index.ts';
import { RuntimeEvents } from '../../../framework/observability/events.ts';
import { systemClock } from '../../../framework/system/clock.ts';
import { systemRandom } from '../../../framework/system/random.ts';
import type { Delivery } from '../../../framework/topics/delivery.ts';
import type { EventLogSession, LoggedEvent } from '../../../framework/topics/event-log.ts';
import { inProcessLog } from '../../../framework/topics/in-process-log.ts';
import { packEvent } from '../../../framework/topics/publisher.ts';
import type { ConsumerDoors } from '../../../framework/topics/shard-consumer.ts';
import { SubscriptionCursor } from '../../../framework/topics/subscription-cursor.ts';

@grain()
class Follower extends Grain {
  @subscribe('orders', { explicit: true })
  async followed(): Promise<void> {}
}

const [rule] = grainTypeOf(Follower).subscriptions;

/** A cursor on a log, whose answers to "what comes next" the test lets through one by one. */
async function world() {
  const session = await inProcessLog().open({ cluster: 'c', clock: systemClock });
  const asked: (() => void)[] = [];
  const gated: EventLogSession = {
    ...bound(session),
    first: async (...query) => {
      const answer = await session.first(...query);
      await new Promise<void>((resolve) => asked.push(resolve));
      return answer;
    },
  };
  const delivered: number[] = [];
  const delivery = {
    deliver: async (_rule: unknown, _target: unknown, { seq }: LoggedEvent) => {
      delivered.push(seq);
      return true;
    },
  } as unknown as Delivery;
  const doors: ConsumerDoors = {
    ...{ clock: systemClock, random: systemRandom, events: new RuntimeEvents(), session: gated, delivery },
    caller: { grainType: () => undefined } as never,
  };
  const value = { id: 'one', target: 'Follower/f', key: 'k', after: 0, failed: 0 };
  const cell = { name: ['subscription'], data: new Uint8Array(), revision: 0 };
  const cursor = new SubscriptionCursor(doors, rule as never, 0, cell, value);
  const publish = async (): Promise<LoggedEvent> => {
    const data = packEvent('orders', 'k', 'event');
    const seq = await session.append('orders', 0, { key: 'k', data, id: systemRandom.id() });
    return { seq, data, publishedAt: 0 };
  };
  /** Lets the log answer; waits until it has been asked. */
  const answer = async () => {
    await vi.waitFor(() => expect(asked.length).toBeGreaterThan(0), { interval: 1 });
    asked.shift()?.();
  };
  return { cursor, publish, answer, asked, delivered };
}

function bound(session: EventLogSession): EventLogSession {
  const names = [
    'shards',
    'append',
    'head',
    'headAt',
    'first',
    'read',
    'cell',
    'writeCell',
    'watch',
    'close',
  ] as const;
  return Object.fromEntries(
    names.map((name) => [name, session[name].bind(session)]),
  ) as unknown as EventLogSession;
}

test('an event that comes while the log says that there is none is read, and not missed', async () => {
  const { cursor, publish, answer, delivered } = await world();
  await vi.waitFor(() => expect(cursor.waiting).toBe(1));
  cursor.offer(await publish()); // the log was asked before, and answers after
  await answer(); // nothing
  await answer(); // asked again: the event
  await vi.waitFor(() => expect(delivered).toEqual([1]));
  cursor.halt();
});

test('abreast, it takes what it is offered; with too much of it, it goes back to the log', async () => {
  const { cursor, publish, answer, asked, delivered } = await world();
  await answer();
  await vi.waitFor(() => expect(cursor.waiting).toBe(0));
  for (let n = 0; n < 40; n++) cursor.offer(await publish());
  while (delivered.length < 40) {
    asked.shift()?.();
    await new Promise(setImmediate);
  }
  expect(delivered).toEqual(Array.from({ length: 40 }, (_, n) => n + 1));
  await cursor.stop();
});
