/**
 * What a reference offers, as the compiler sees it: nothing here runs. Each `@ts-expect-error` fails the type
 * check when the line beneath it compiles.
 */
import {
  type CallOptions,
  Client,
  Grain,
  type GrainRef,
  grain,
  inProcess,
  method,
  Silo,
  state,
} from 'granary';

@grain()
class Counter extends Grain {
  @state() count = 0;

  @method()
  async increment(by = 1): Promise<number> {
    return this.count + by;
  }

  @method()
  plain(text: string, ...rest: bigint[]): string {
    return text + rest.length + this.secret() + this.inner();
  }

  @method()
  async *items(from: Date): AsyncGenerator<{ at: Date }> {
    yield { at: from };
  }

  @method()
  async friend(): Promise<GrainRef<Counter>> {
    return this.grain(Counter, 'friend');
  }

  @method()
  async generic<T>(value: T): Promise<T> {
    return value;
  }

  private secret(): string {
    return 'secret';
  }

  protected inner(): string {
    return 'inner';
  }
}

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
function is<_Claim extends true>(): void {}

/** Methods are there, asynchronously, with their parameters. */
export function offers(ref: GrainRef<Counter>): void {
  const options: CallOptions = {
    timeoutMs: 5,
    signal: new AbortController().signal,
    oneWay: true,
    request: {},
  };
  is<Equal<ReturnType<typeof ref.increment>, Promise<number>>>();
  is<Equal<Parameters<typeof ref.increment>, [by?: number | undefined]>>();
  is<Equal<ReturnType<typeof ref.plain>, Promise<string>>>();
  is<Equal<Parameters<typeof ref.plain>, [text: string, ...rest: bigint[]]>>();
  is<Equal<ReturnType<typeof ref.items>, AsyncIterableIterator<{ at: Date }>>>();
  is<Equal<ReturnType<typeof ref.friend>, Promise<GrainRef<Counter>>>>();
  is<Equal<typeof ref.$id, string>>();
  is<Equal<ReturnType<typeof ref.$with>, GrainRef<Counter>>>();
  is<Equal<keyof typeof ref, 'increment' | 'plain' | 'items' | 'friend' | 'generic' | '$id' | '$with'>>();
  void ref.$with(options).increment(2);
}

/** Arguments are checked. */
export function checksArguments(ref: GrainRef<Counter>): void {
  // @ts-expect-error: a text is no number
  void ref.increment('1');
  // @ts-expect-error: one argument too many
  void ref.increment(1, 2);
  // @ts-expect-error: the text is missing
  void ref.plain();
  // @ts-expect-error: rest arguments are checked, too
  void ref.plain('a', 1);
  // @ts-expect-error: no such option
  ref.$with({ timeout: 5 });
  // @ts-expect-error: a text is no time
  ref.$with({ timeoutMs: '5' });
  // @ts-expect-error: ids are not written
  ref.$id = 'Counter/other';
}

/** Nothing else is there. */
export function hidesTheRest(ref: GrainRef<Counter>): void {
  // @ts-expect-error: a field
  void ref.count;
  // @ts-expect-error: a private method
  void ref.secret();
  // @ts-expect-error: a protected method
  void ref.inner();
  // @ts-expect-error: a hook
  void ref.onActivate();
  // @ts-expect-error: a hook
  void ref.onDeactivate('idle');
  // @ts-expect-error: what the grain itself does
  void ref.save();
  // @ts-expect-error: what the grain itself does
  void ref.clear();
  // @ts-expect-error: what the grain itself has
  void ref.context;
  // @ts-expect-error: what the grain itself has
  void ref.key;
  // @ts-expect-error: what the grain itself does
  void ref.grain(Counter, 'x');
  // @ts-expect-error: no such method
  void ref.decrement();
}

/** Results are asynchronous. */
export async function results(ref: GrainRef<Counter>): Promise<void> {
  // @ts-expect-error: a promise is no number
  const early: number = ref.increment();
  const late: number = await ref.increment();
  for await (const { at } of ref.items(new Date(0))) is<Equal<typeof at, Date>>();
  // @ts-expect-error: a stream is not awaited as a list
  const list: { at: Date }[] = await ref.items(new Date(0));
  const friend: GrainRef<Counter> = await ref.friend();
  void [early, late, list, friend];
}

@grain()
class Other extends Grain {
  @method()
  async greet(): Promise<void> {}
}

/** References are made from classes, or from a name and the class as a type only. */
export async function makes(): Promise<void> {
  const client = await Client.connect({ transport: inProcess() });
  const silo = await Silo.start({ grains: [Counter, Other] });
  for (const at of [client, silo]) {
    is<Equal<ReturnType<typeof at.grain<Counter>>, GrainRef<Counter>>>();
    void at.grain(Counter, 'key').increment(1);
    void at.grain<Counter>('Counter', ['a', 1, 2n]).increment(1);
    // @ts-expect-error: not a method of this class
    void at.grain(Counter, 'key').greet();
    // @ts-expect-error: a key is no date
    at.grain(Counter, new Date());
    // @ts-expect-error: a class that is no grain
    at.grain(Map, 'key');
    // @ts-expect-error: a reference to another class
    const wrong: GrainRef<Counter> = at.grain(Other, 'key');
    void wrong;
  }
  // @ts-expect-error: a client needs a transport
  await Client.connect({});
  // @ts-expect-error: a silo needs grains
  await Silo.start({});
  // @ts-expect-error: an unknown option
  await Silo.start({ grains: [Counter], port: 80 });
}

// @ts-expect-error: an unknown option of a grain
grain({ persistent: true });
// @ts-expect-error: a placement that there is not
grain({ placement: 'near' });
// @ts-expect-error: an unknown option of a method
method({ timeout: 5 });
// @ts-expect-error: an unknown option of a field
state({ table: 'x' });
