import fc from 'fast-check';
import { expect, test } from 'vitest';
import { LIMITS } from '../../../framework/limits.ts';
import { type Entry, type Position, Window } from '../../../framework/topics/window.ts';

const NOTHING: Position = { floor: 0, done: [], failed: [] };
const event = (seq: number, lane: string, bytes = 1) => ({
  seq,
  lane,
  data: new Uint8Array(bytes),
  publishedAt: 0,
});

test('whatever is handled when, and wherever readers stop, lanes keep order and lose nothing', () => {
  const steps = fc.array(
    fc.record({ read: fc.boolean(), which: fc.nat(), stops: fc.integer({ min: 0, max: 12 }) }),
    {
      maxLength: 200,
    },
  );
  fc.assert(
    fc.property(fc.array(fc.nat(3), { maxLength: 40 }), steps, (lanes, orders) => {
      let window = new Window(NOTHING);
      let running: Entry[] = [];
      const handled: number[] = [];
      const read = () => {
        const seq = lanes.findIndex((_, at) => at + 1 > window.last) + 1;
        if (seq === 0) return false;
        const entry = window.take(event(seq, `${lanes[seq - 1]}`));
        if (entry) running.push(entry);
        return true;
      };
      const finish = (which: number) => {
        const [entry] = running.splice(which % running.length, 1) as [Entry];
        handled.push(entry.seq);
        const next = window.finish(entry);
        if (next) running.push(next);
      };
      for (const { read: reads, which, stops } of orders) {
        if (reads) read();
        else if (running.length > 0) finish(which);
        if (stops !== 0) continue;
        // Another reader goes on from what was written down.
        window = new Window(structuredClone(window.position()));
        running = [];
      }
      while (read() || running.length > 0) if (running.length > 0) finish(0);
      const firsts = [...new Set(handled)];
      expect([...firsts].sort((a, b) => a - b)).toEqual(lanes.map((_, at) => at + 1));
      for (const lane of new Set(lanes)) {
        const ofLane = firsts.filter((seq) => lanes[seq - 1] === lane);
        expect(ofLane).toEqual([...ofLane].sort((a, b) => a - b));
      }
      expect(window.position()).toEqual({ floor: lanes.length, done: [], failed: [] });
    }),
  );
});

test('what was handled beyond one that was not is not handed on again; failed attempts are kept', () => {
  const window = new Window(NOTHING);
  const first = window.take(event(1, 'a')) as Entry;
  const second = window.take(event(2, 'b')) as Entry;
  first.failed = 3;
  window.finish(second);
  expect(window.position()).toEqual({ floor: 0, done: [2], failed: [1, 3] });
  const next = new Window(window.position());
  expect(next.take(event(1, 'a'))).toMatchObject({ seq: 1, failed: 3 });
  expect(next.take(event(2, 'b'))).toBeUndefined();
  expect(next.unfinished).toBe(1);
});

test('a window has room for so many events, so many bytes, and so much beyond one that does not end', () => {
  const full = new Window(NOTHING);
  for (let seq = 1; full.room > 0; seq++) full.take(event(seq, 'a'));
  expect(full.unfinished).toBe(LIMITS.topicWindow);

  const heavy = new Window(NOTHING);
  for (let seq = 1; heavy.room > 0; seq++) heavy.take(event(seq, 'a', 600_000));
  expect(heavy.unfinished).toBe(Math.ceil(LIMITS.topicWindowBytes / 600_000));

  const stuck = new Window(NOTHING);
  stuck.take(event(1, 'stuck'));
  for (let seq = 2; stuck.room > 0; seq++) stuck.finish(stuck.take(event(seq, `${seq}`)) as Entry);
  expect(stuck.position().done).toHaveLength(LIMITS.topicSpan - 1);
});
