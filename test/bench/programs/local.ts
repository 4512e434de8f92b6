import { Silo } from 'granary';
import { Counter, GRAINS, ORDER, OrderTaker } from './grains.ts';
import { callsPerSecond, type Load } from './load.ts';
import { answer } from './session.ts';

/** Calls within a silo's own process: of a number, or of an object of 1 kB. */
const silo = await Silo.start({ grains: [Counter, OrderTaker] });
const keys = Array.from({ length: GRAINS }, (_, key) => key);
const counters = keys.map((key) => silo.grain(Counter, key));
const takers = keys.map((key) => silo.grain(OrderTaker, key));

await answer(({ order, ...load }: Load & { order: boolean }) =>
  order
    ? callsPerSecond(load, (random) => (takers[random % GRAINS] as (typeof takers)[0]).take(ORDER))
    : callsPerSecond(load, (random) => (counters[random % GRAINS] as (typeof counters)[0]).increment(1)),
);
