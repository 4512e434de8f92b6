import { Silo } from 'granary';
import { KeptCounter, PlainCounter } from './grains.ts';
import { answer } from './session.ts';

interface Request {
  readonly count: number;
  readonly plain: boolean;
}

/** Bytes of heap that each of many idle activations takes; or each plain object under its name in a map. */
await answer(async ({ count, plain }: Request) => {
  const silo = await Silo.start({ grains: [KeptCounter] });
  await touch(silo, 0, 1_000); // What is made once, and compiled code.
  const plains = new Map<string, PlainCounter>();
  const before = await heapBytes();
  if (plain) {
    for (let key = 0; key < count; key++) plains.set(`KeptCounter/${key}`, new PlainCounter());
  } else {
    await touch(silo, 1_000, count);
  }
  const bytes = ((await heapBytes()) - before) / count;
  if (silo.activations + plains.size !== count + 1_000) throw new Error('not all that was made is there');
  return { bytes };
});

async function touch(silo: Silo, from: number, count: number): Promise<void> {
  for (let key = from; key < from + count; key++) await silo.grain(KeptCounter, key).increment(1);
}

async function heapBytes(): Promise<number> {
  for (let times = 0; times < 3; times++) {
    await new Promise((resolve) => setTimeout(resolve, 50)); // What waits for a timer or a microtask goes.
    gc?.();
  }
  return process.memoryUsage().heapUsed;
}
