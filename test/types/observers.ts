/**
 * What observers, groups and `mapGrains` offer, as the compiler sees it: nothing here runs. Each
 * `@ts-expect-error` fails the type check when the line beneath it compiles.
 */
import {
  type Client,
  Grain,
  type GrainContext,
  type GrainRef,
  grain,
  type Mapped,
  mapGrains,
  method,
  type ObserverRef,
  Observers,
  type Silo,
} from 'granary';

interface Watcher {
  readonly name: string;
  moved(x: number, y?: number): void;
  asked(text: string): Promise<boolean> | boolean;
}

@grain()
class Player extends Grain {
  @method()
  async poke(_how: string, _times = 1): Promise<number> {
    return 1;
  }
}

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
function is<_Claim extends true>(): void {}

/** The object's methods are there, asynchronously, and nothing else. */
export function observes(client: Client, silo: Silo): void {
  // @ts-expect-error: a method is missing
  client.observe<Watcher>({ name: 'x', moved() {} });
  const watcher = client.observe<Watcher>({ name: 'x', moved() {}, asked: () => true });
  using _short = silo.observe({ moved: (x: number) => x });
  const ref: ObserverRef<Watcher> = watcher;
  is<Equal<keyof ObserverRef<Watcher>, 'moved' | 'asked' | '$id' | '$with'>>();
  is<Equal<ReturnType<typeof ref.moved>, Promise<void>>>();
  is<Equal<ReturnType<typeof ref.asked>, Promise<boolean>>>();
  is<Equal<Parameters<typeof ref.moved>, [x: number, y?: number | undefined]>>();
  is<Equal<ReturnType<typeof ref.$with>, ObserverRef<Watcher>>>();
  is<Equal<ReturnType<typeof client.unobserve>, boolean>>();
  // @ts-expect-error: a text is no number
  void ref.moved('1');
  // @ts-expect-error: a field
  void ref.name;
  // @ts-expect-error: a number has no methods
  client.observe(1);
}

/** A list tells observers of its kind. */
export async function lists(
  watcher: ObserverRef<Watcher>,
  other: ObserverRef<{ left(): void }>,
): Promise<void> {
  const watchers = new Observers<Watcher>().add(watcher);
  // @ts-expect-error: of another kind
  watchers.add(other);
  const { reached, dropped, failures } = await watchers.notify((each) => each.moved(1));
  is<Equal<typeof reached | typeof dropped, number>>();
  is<Equal<(typeof failures)[number]['observer'], ObserverRef<Watcher>>>();
  // @ts-expect-error: no such method
  await watchers.notify((each) => each.left());
  // @ts-expect-error: no such option
  await watchers.notify((each) => each.moved(1), { timeoutMs: 5 });
}

/** Publishing is checked when it is said who the members are. */
export async function publishes(silo: Silo, context: GrainContext): Promise<void> {
  const sent = await silo.groups.publish<Player>('online', 'poke', 'hard', 2);
  is<Equal<typeof sent, number>>();
  await silo.groups.publish<Watcher>('watchers', 'moved', 1);
  await silo.groups.publish('whoever', 'whatever', {});
  await context.groups.publish<Player>('online', 'poke', 'softly');
  await context.groups.join('online');
  // @ts-expect-error: a number is no text
  await silo.groups.publish<Player>('online', 'poke', 1);
  // @ts-expect-error: the text is missing
  await silo.groups.publish<Player>('online', 'poke');
  // @ts-expect-error: no such method
  await silo.groups.publish<Player>('online', 'save');
  // @ts-expect-error: outside of a grain a member must be named
  await silo.groups.join('online');
}

/** An item is a value or an error, of its reference. */
export async function maps(refs: GrainRef<Player>[], more: AsyncIterable<GrainRef<Player>>): Promise<void> {
  const items = await mapGrains(refs, (ref, index) => ref.poke('x', index), { concurrency: 5 });
  is<Equal<typeof items, Mapped<GrainRef<Player>, number>[]>>();
  for (const item of items) {
    if ('error' in item) is<Equal<typeof item.error, unknown>>();
    else is<Equal<typeof item.value, number>>();
    void item.ref.poke('again');
  }
  is<Equal<Awaited<ReturnType<typeof fromMore>>, Mapped<GrainRef<Player>, string>[]>>();
  function fromMore() {
    return mapGrains(more, (ref) => ref.$id);
  }
}
