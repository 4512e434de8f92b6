import { PlainCounter } from './grains.ts';
import { allPerSecond } from './load.ts';
import { answer } from './session.ts';

/** First calls of plain objects, each made and put into a map when it is first asked for. */
await answer(async (load: { callers: number; count: number }) => {
  const counters = new Map<string, PlainCounter>();
  const find = (key: string) => {
    let counter = counters.get(key);
    if (!counter) {
      counter = new PlainCounter();
      counters.set(key, counter);
    }
    return counter;
  };
  return await allPerSecond(load, (key) => find(`Counter/${key}`).increment(1));
});
