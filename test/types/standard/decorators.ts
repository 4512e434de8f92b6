/**
 * Decorators as the compiler sees them by the rules of the ECMAScript proposal: nothing here runs. Each
 * `@ts-expect-error` fails the type check when the line beneath it compiles.
 */
import {
  type EventMeta,
  Grain,
  type GrainRef,
  grain,
  method,
  type ReminderTick,
  reminder,
  state,
  subscribe,
} from 'granary';
import { z } from 'zod';

@grain({ name: 'counter', idleMs: 1_000 })
export class Counter extends Grain {
  @state() count = 0;
  @state({ name: 'other', version: 2, migrate: { 2: (stored) => stored } }) readonly list: string[] = [];
  @state() accessor level = 0;
  @state() protected maybe?: number;

  @method()
  async increment(by = 1): Promise<number> {
    return this.count + by;
  }

  @method({ readOnly: true, timeoutMs: 5 })
  async generic<T>(value: T, ..._rest: bigint[]): Promise<T> {
    return value;
  }

  @method()
  async *items(from: Date): AsyncGenerator<{ at: Date }> {
    yield { at: from };
  }

  @method({ args: [z.string(), z.number()] })
  async checked(_text: string, _number: number): Promise<void> {}

  @reminder()
  async daily(_tick: ReminderTick): Promise<void> {}

  @subscribe('news', { explicit: true })
  async onNews(_event: unknown, _meta: EventMeta): Promise<void> {}
}

export async function uses(ref: GrainRef<Counter>): Promise<number> {
  return ref.increment(2);
}

export class Wrong extends Grain {
  // @ts-expect-error a field is no method
  @method() field = 0;

  // @ts-expect-error nor is an accessor field
  @method() accessor level = 0;

  // @ts-expect-error nor is a getter
  @method() get total(): number {
    return 0;
  }

  // @ts-expect-error a method is no field
  @state() async go(): Promise<void> {}

  // @ts-expect-error there is no such option
  @method({ readonly: true }) async look(): Promise<void> {}

  // @ts-expect-error there is no such option
  @state({ record: 'x' }) count = 0;

  // @ts-expect-error the schema gives a number
  @method({ args: [z.number()] }) async checked(_text: string): Promise<void> {}

  // @ts-expect-error a reminder calls a method
  @reminder('daily') daily = 0;

  // @ts-expect-error a topic is missing
  @subscribe() async onNews(): Promise<void> {}

  // @ts-expect-error parentheses are missing
  @method async bare(): Promise<void> {}

  // @ts-expect-error parentheses are missing
  @state bareField = 0;
}

// @ts-expect-error a grain class is made by its silo, so it is not abstract
@grain()
export abstract class Abstract extends Grain {}

// @ts-expect-error nor does its constructor take anything
@grain()
export class Demanding extends Grain {
  readonly text: string;

  constructor(text: string) {
    super();
    this.text = text;
  }
}
