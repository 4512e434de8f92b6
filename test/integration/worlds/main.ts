import { type GrainClass, memory, Silo } from 'granary';
import { Shelf } from './grains.js';
import { MISUSES } from './misuse.js';

export interface Outcome {
  /** Whether its decorators were those of the ECMAScript proposal. */
  readonly standard: boolean;
  /** What its calls have answered. */
  readonly shelf: readonly unknown[];
  /** What is said of each class that is wrong. */
  readonly misuses: Readonly<Record<string, string>>;
}

/** Uses everything that decorators make, and everything that they refuse. */
export async function run(more: Readonly<Record<string, () => GrainClass>> = {}): Promise<Outcome> {
  const misuses: Record<string, string> = {};
  for (const [what, make] of Object.entries({ ...MISUSES, ...more })) misuses[what] = await refusal(make);
  const { metadata } = Symbol as unknown as { readonly metadata: symbol };
  return { standard: Object.hasOwn(Shelf, metadata), shelf: await useShelf(), misuses };
}

async function useShelf(): Promise<unknown[]> {
  const stores = { default: memory() };
  await using silo = await Silo.start({ grains: [Shelf], stores, log: 'silent' });
  const shelf = silo.grain(Shelf, 'x');
  const answers: unknown[] = [await shelf.everything(), await shelf.rename('ada'), await shelf.add(2)];
  const life = await shelf.life();
  await shelf.end();
  answers.push(await shelf.everything(), (await shelf.life()) !== life, await shelf.who());
  const items: number[] = [];
  for await (const item of shelf.upTo(3)) items.push(item);
  answers.push(items, await shelf.double(21), await shelf.double(-1).catch(codeOf));
  answers.push(await shelf.remindMe());
  await shelf.tell('hello');
  for (let tries = 0; tries < 500 && !(await shelf.everything()).includes('hello'); tries++) {}
  answers.push(await shelf.everything(), Shelf.made > 0);
  const untyped = shelf as unknown as Record<string, () => Promise<unknown>>;
  for (const name of ['hidden', 'daily', 'onNews']) answers.push(await untyped[name]?.().catch(codeOf));
  return answers;
}

const codeOf = (error: { code?: unknown }): unknown => error.code;

async function refusal(make: () => GrainClass): Promise<string> {
  try {
    const silo = await Silo.start({ grains: [make()], log: 'silent' });
    await silo.stop();
    return 'nothing';
  } catch (error) {
    const { code, message } = error as { code?: unknown; message: string };
    return `${code}: ${message}`;
  }
}
