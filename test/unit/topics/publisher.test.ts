import { expect, test } from 'vitest';
import { EventLogError } from '../../../framework/errors.ts';
import { systemRandom } from '../../../framework/system/random.ts';
import type { EventLogSession } from '../../../framework/topics/event-log.ts';
import { Publisher } from '../../../framework/topics/publisher.ts';
import { ManualClock } from '../../support/manual-clock.ts';

test('an event is published for as long as the log would know it again, whatever the deadline', async () => {
  const clock = new ManualClock();
  const ids = new Set<string>();
  let lastAt = 0;
  const session = {
    shards: async () => 4,
    append: async (_topic: string, _shard: number, { id }: { id: string }) => {
      ids.add(id);
      lastAt = clock.now();
      throw new EventLogError('away');
    },
  } as unknown as EventLogSession;
  const publisher = new Publisher(session, { clock, random: systemRandom });
  const from = clock.now();
  let failure: unknown;
  const deadline = from + 600_000;
  void publisher.publish('orders', 'k', 1, deadline).catch((error) => {
    failure = error;
  });
  while (failure === undefined && clock.now() < deadline) {
    await new Promise((resolve) => setImmediate(resolve));
    clock.advance(500);
  }
  expect(failure).toMatchObject({ code: 'EVENT_LOG_FAILED' });
  expect(ids.size).toBe(1);
  expect(lastAt - from).toBeGreaterThan(90_000);
  expect(lastAt - from).toBeLessThan(115_000); // a log knows an id for 120 s
});
