import { describe, expect, test } from 'vitest';
import { placeOf, RollCall, STAGES } from '../../../framework/directory/roll-call.ts';
import type { NodeAddress } from '../../../framework/identity/silo-address.ts';
import { ControlChannel, type ControlHandler } from '../../../framework/messaging/control-channel.ts';
import { RuntimeEvents } from '../../../framework/observability/events.ts';
import { ManualClock } from '../../support/manual-clock.ts';

const names = (count: number) =>
  Array.from({ length: count }, (_, index) => `silo-${index}~1` as NodeAddress);

describe('the tree of a roll call', () => {
  test.each([1, 2, 9, 10, 100, 1000])('of %d silos has each of them once below one root', (count) => {
    const silos = new Set(names(count));
    const places = new Map([...silos].map((silo) => [silo, placeOf(silo, silos)]));
    const roots = [...silos].filter((silo) => places.get(silo)?.parent === undefined);
    expect(roots).toHaveLength(1);
    const reached = [...roots];
    for (const silo of reached) {
      const { children } = places.get(silo) as ReturnType<typeof placeOf>;
      expect(children.length).toBeLessThanOrEqual(8);
      for (const child of children) expect(places.get(child)?.parent).toBe(silo);
      reached.push(...children);
    }
    expect(new Set(reached)).toEqual(silos);
    expect(reached).toHaveLength(count);
  });

  test('is the same whatever order the silos are known in', () => {
    const silos = names(30);
    for (const silo of silos) {
      expect(placeOf(silo, new Set([...silos].reverse()))).toEqual(placeOf(silo, new Set(silos)));
    }
  });
});

/** Roll calls of several silos, whose messages are delivered by hand. */
function callOf(count: number) {
  const silos = new Set(names(count));
  const sent: { from: NodeAddress; to: NodeAddress; kind: string; body: unknown }[] = [];
  const handlers = new Map<string, ControlHandler>();
  const heard = new Map<NodeAddress, number[]>();
  const calls = new Map<NodeAddress, RollCall>();
  for (const silo of silos) {
    const control = new ControlChannel(silo, new ManualClock(), new RuntimeEvents());
    control.on = (kind, handler) => handlers.set(`${silo} ${kind}`, handler);
    control.send = (to, kind, body) => sent.push({ from: silo, to, kind, body });
    heard.set(silo, []);
    calls.set(silo, new RollCall(silo, control, (stage) => heard.get(silo)?.push(stage)));
  }
  const deliver = () => {
    for (let each = sent.shift(); each; each = sent.shift())
      handlers.get(`${each.to} ${each.kind}`)?.(each.from, each.body);
  };
  return { silos, sent, heard, deliver, each: [...calls.values()] };
}

describe('a roll call', () => {
  test('tells everybody that all have come so far, and nobody before', () => {
    const { silos, heard, deliver, each, sent } = callOf(20);
    for (const call of each) call.enter('era', silos);
    for (const call of each.slice(1)) call.reached(STAGES.entered);
    deliver();
    expect([...heard.values()].flat()).toEqual([]);
    each[0]?.reached(STAGES.entered);
    deliver();
    expect([...heard.values()]).toEqual(Array(20).fill([STAGES.entered]));
    expect(sent).toEqual([]);
  });

  test('remembers who was in an era before this silo', () => {
    const { silos, heard, deliver, each } = callOf(12);
    for (const call of each.slice(1)) {
      call.enter('era', silos);
      call.reached(STAGES.entered);
    }
    deliver();
    each[0]?.enter('era', silos);
    each[0]?.reached(STAGES.entered);
    deliver();
    expect([...heard.values()]).toEqual(Array(12).fill([STAGES.entered]));
  });

  test('counts nobody who speaks of another era', () => {
    const { silos, heard, deliver, each } = callOf(3);
    for (const [index, call] of each.entries()) {
      call.enter(index === 2 ? 'another' : 'era', silos);
      call.reached(STAGES.entered);
    }
    deliver();
    expect([...heard.values()].flat()).toEqual([]);
  });

  test('comes to its end although messages are lost, when they are said again', () => {
    const { silos, heard, deliver, each, sent } = callOf(20);
    for (const call of each) {
      call.enter('era', silos);
      call.reached(STAGES.entered);
    }
    for (let round = 0; round < 30; round++) {
      for (let lost = sent.length - (round % 2); lost > 0; lost -= 2) sent.splice(lost - 1, 1);
      deliver();
      for (const call of each) call.repeat();
    }
    expect([...heard.values()]).toEqual(Array(20).fill([STAGES.entered]));
  });
});
