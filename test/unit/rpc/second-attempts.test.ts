import { expect, test } from 'vitest';
import type { NodeAddress } from '../../../framework/identity/silo-address.ts';
import type { Cluster, Departure, Era } from '../../../framework/membership/cluster.ts';
import type { Locator } from '../../../framework/rpc/locator.ts';
import type { Node } from '../../../framework/rpc/node.ts';
import type { PendingCall } from '../../../framework/rpc/pending-call.ts';
import type { PendingCalls } from '../../../framework/rpc/pending-calls.ts';
import { SecondAttempts } from '../../../framework/rpc/second-attempts.ts';
import { ManualClock } from '../../support/manual-clock.ts';

const B = 'b~1' as NodeAddress;

/** One call that has gone to b just now, and what becomes of it when b goes and comes. */
function house() {
  const clock = new ManualClock(1_000);
  let enter: (era: Era, departed: readonly Departure[]) => void = () => {};
  const present = new Set<NodeAddress>([B]);
  const cluster = {
    era: { present },
    onEra: (listener: typeof enter) => {
      enter = listener;
    },
  } as unknown as Cluster;
  const fields = { target: 'Counter/x', method: 'add', sentTo: B, sentAt: 990, progress: 'sent' };
  const call = { ...fields, repeatable: false, stream: false } as unknown as PendingCall;
  const pending = { has: () => true, oldestFirst: () => [call] } as unknown as PendingCalls;
  const failures: string[] = [];
  new SecondAttempts({
    node: { clock, link: { forget: () => {} } } as unknown as Node,
    ...{ cluster, pending, locator: { forget: () => {} } as unknown as Locator },
    route: () => {},
    fail: (_call, { message }) => failures.push(message),
  });
  const change = (departed: readonly Departure[]) => enter(cluster.era, departed);
  return {
    ...{ clock, failures },
    goes: () => {
      present.delete(B);
      change([{ silo: B, graceful: false }]);
    },
    returns: () => {
      present.add(B);
      change([]);
    },
  };
}

test('a call that may run once is given up a moment after the silo that it went to just now', () => {
  const { clock, failures, goes } = house();
  goes();
  clock.advance(50);
  expect(failures).toEqual([]);
  clock.advance(50);
  expect(failures).toEqual([expect.stringMatching(/^Counter\/x.add: silo b~1 was lost/)]);
});

// When a split heals, a node may hear that a silo is there, that it is gone, and that it is there.
test('it is not given up if that silo turns out to be there meanwhile', () => {
  const { clock, failures, goes, returns } = house();
  goes();
  clock.advance(20);
  returns();
  clock.advance(5_000);
  expect(failures).toEqual([]);
});
