import { Silo } from 'granary';
import { Counter, KeptCounter } from './grains.ts';
import { allPerSecond } from './load.ts';
import { answer } from './session.ts';

/** First calls of grains, each of another one, in a silo that is new every time. */
await answer(async ({ store, ...load }: { store: boolean; callers: number; count: number }) => {
  await using silo = await Silo.start({ grains: [Counter, KeptCounter] });
  const Type = store ? KeptCounter : Counter;
  return await allPerSecond(load, (key) => silo.grain(Type, key).increment(1));
});
