import { expect, test } from 'vitest';
import { parseEntry, type SiloEntry } from '../../../framework/membership/view.ts';
import { ViewFollower } from '../../../framework/membership/view-follower.ts';
import type { ControlChannel } from '../../../framework/messaging/control-channel.ts';
import { ManualClock } from '../../support/manual-clock.ts';

/** A follower of a cluster that says what the test says. */
function house() {
  const listeners = new Map<string, (from: string, body: unknown) => unknown>();
  let answer: readonly SiloEntry[] = [];
  const control = {
    on: (kind: string, listener: (from: string, body: unknown) => unknown) => listeners.set(kind, listener),
    requestAnySilo: async () => [16, answer],
  } as unknown as ControlChannel;
  const clock = new ManualClock();
  const follower = new ViewFollower({ partitions: 16, refreshMs: 1_000, clock, control });
  const departed: string[] = [];
  follower.onEra((_era, gone) => departed.push(...gone.map(({ silo }) => silo.slice(0, 1))));
  return {
    departed,
    present: () => [...follower.era.present].map((silo) => silo.slice(0, 1)).sort(),
    hear: (from: SiloEntry, ...news: SiloEntry[]) => listeners.get('news')?.(`${from.name}~1`, news),
    ask: async (...view: SiloEntry[]) => {
      answer = view;
      await follower.refresh();
    },
  };
}

function silo(name: string, change: Partial<SiloEntry> = {}): SiloEntry {
  const usual = {
    name,
    incarnation: 1,
    status: 'active',
    epoch: 0,
    unreachable: false,
    types: [],
    labels: {},
  };
  return parseEntry({ ...usual, ...change }) as SiloEntry;
}

const [a, b] = [silo('a'), silo('b')];

// A split heals: the news that b has refuted its claim came before the answer of a silo that had not heard
// it. b was given up again, and with it the calls that had just gone there.
test('a silo that has come back stays, whatever an answer says of the time before', async () => {
  const { present, hear, ask, departed } = house();
  await ask(a, silo('b', { unreachable: true }));
  expect(present()).toEqual(['a']);
  hear(a, silo('b', { epoch: 1 }));
  await ask(a, silo('b', { unreachable: true }));
  expect(present()).toEqual(['a', 'b']);
  expect(departed).toEqual([]);
});

test('a silo that has left, or was started anew, is not taken back for an earlier one', async () => {
  const { present, hear, ask } = house();
  await ask(a, b);
  hear(b, silo('b', { status: 'left' }));
  await ask(a, b);
  expect(present()).toEqual(['a']);
  hear(b, silo('b', { incarnation: 2 }));
  await ask(a, silo('b', { unreachable: true }));
  expect(present()).toEqual(['a', 'b']);
});

test('an answer takes back a claim of the same epoch, and forgets who is in it no more', async () => {
  const { present, hear, ask } = house();
  await ask(a, b);
  hear(a, silo('b', { unreachable: true }));
  expect(present()).toEqual(['a']);
  await ask(a, b);
  expect(present()).toEqual(['a', 'b']);
  await ask(b);
  expect(present()).toEqual(['b']);
});
