import { Grain, type GrainClass, grain, method, type ReminderTick, reminder } from 'granary';
import { describe, expect, test } from 'vitest';
import { grainTypeOf } from '../../../framework/grain/grain-type.ts';

test('the ticks of a reminder are calls that no reference makes', () => {
  @grain()
  class Alarm extends Grain {
    @method()
    async set(): Promise<void> {}
    @reminder('ring', { timeoutMs: 500 })
    async onRing(_tick: ReminderTick): Promise<void> {}
    @reminder()
    async daily(): Promise<void> {}
  }
  const { methods, reminders, Reference } = grainTypeOf(Alarm);
  expect([...methods.keys()]).toEqual(['set', '$remind.ring', '$remind.daily']);
  expect([...reminders].map(([name, { member }]) => [name, member])).toEqual([
    ['ring', 'onRing'],
    ['daily', 'daily'],
  ]);
  expect(methods.get('$remind.ring')).toMatchObject({ member: '$remind', timeoutMs: 500, repeatable: false });
  expect(Object.getOwnPropertyNames(Reference.prototype)).toEqual(['set']);
});

test('a class inherits reminders, and may override their methods', () => {
  @grain()
  class Parent extends Grain {
    @method()
    async set(): Promise<void> {}
    @reminder('ring')
    async onRing(): Promise<void> {}
  }
  @grain()
  class Child extends Parent {
    @reminder('ring', { timeoutMs: 7 })
    override async onRing(): Promise<void> {}
    @reminder('more')
    async onMore(): Promise<void> {}
  }
  expect([...grainTypeOf(Child).reminders.keys()]).toEqual(['ring', 'more']);
  expect(grainTypeOf(Child).reminders.get('ring')?.timeoutMs).toBe(7);
  expect([...grainTypeOf(Parent).reminders.keys()]).toEqual(['ring']);
});

/** A class with one reminder, declared as `decorate` does, on a member of this name. */
function declared(
  decorate: (prototype: object, Class: GrainClass) => void,
  options: Parameters<typeof grain>[0] = {},
): GrainClass {
  class Faulty extends Grain {
    static fixed(): void {}
    field = 1;
    async ring(): Promise<void> {}
    async *items(): AsyncGenerator<number> {}
    async set(): Promise<void> {}
  }
  method()(Faulty.prototype, 'set');
  decorate(Faulty.prototype, Faulty);
  grain(options)(Faulty);
  return Faulty;
}

describe('a reminder is refused when the silo starts:', () => {
  const onRing =
    (...args: Parameters<typeof reminder>) =>
    (prototype: object) =>
      reminder(...args)(prototype, 'ring');
  test.each<[string, GrainClass, string]>([
    ['on a worker', declared(onRing(), { placement: { workers: 1 } }), 'a worker has no place of its own'],
    ['on a static method', declared((_, Class) => reminder()(Class, 'fixed')), "remove 'static'"],
    [
      'on a private method',
      declared((prototype) => reminder()(prototype, '#ring')),
      'give the method a public name',
    ],
    ['on a field', declared((prototype) => reminder()(prototype, 'field')), 'it is no method'],
    ['on a stream', declared((prototype) => reminder()(prototype, 'items')), 'nobody would read its items'],
    ['on what Granary has', declared((prototype) => reminder()(prototype, 'save')), 'a meaning of its own'],
    [
      'with an option that there is not',
      declared(onRing('ring', { every: 1 } as never)),
      "no option 'every'",
    ],
    ['with a time-out that is none', declared(onRing('ring', { timeoutMs: -1 })), 'timeoutMs is -1'],
    ['with an empty name', declared(onRing('')), "cannot be a reminder's name"],
    ['with a name of two lines', declared(onRing('a\nb')), "cannot be a reminder's name"],
    ['with a name that is too long', declared(onRing('n'.repeat(129))), 'use up to 128 characters'],
    [
      'of a name that another has',
      declared((prototype) => {
        reminder('ring')(prototype, 'set');
        reminder('ring')(prototype, 'ring');
      }),
      "class Faulty: @reminder on ring: set is reminder 'ring' already",
    ],
  ])('%s', (_, Class, message) => {
    expect(() => grainTypeOf(Class)).toThrow(message);
    expect(() => grainTypeOf(Class)).toThrow(expect.objectContaining({ code: 'INVALID_CONFIG' }));
    expect(() => grainTypeOf(Class)).toThrow(/^class Faulty: @reminder on /);
  });
});
