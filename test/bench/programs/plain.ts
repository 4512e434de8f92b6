import { GRAINS, ORDER, PlainCounter, PlainOrderTaker } from './grains.ts';
import { callsPerSecond, type Load } from './load.ts';
import { answer } from './session.ts';

/** Calls of async methods of plain objects; an object argument is cloned, as no grain may share it. */
const counters = Array.from({ length: GRAINS }, () => new PlainCounter());
const takers = Array.from({ length: GRAINS }, () => new PlainOrderTaker());

await answer(({ order, ...load }: Load & { order: boolean }) =>
  order
    ? callsPerSecond(load, (random) =>
        (takers[random % GRAINS] as PlainOrderTaker).take(structuredClone(ORDER)),
      )
    : callsPerSecond(load, (random) => (counters[random % GRAINS] as PlainCounter).increment(1)),
);
