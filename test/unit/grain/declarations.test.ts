import 'reflect-metadata';
import { describe, expect, test } from 'vitest';
import { InvalidConfigError } from '../../../framework/errors.ts';
import { grain, method, state } from '../../../framework/grain/decorators.ts';
import { Grain, type GrainClass } from '../../../framework/grain/grain.ts';
import { grainTypeOf } from '../../../framework/grain/grain-type.ts';
import type { GrainOptions, MethodOptions } from '../../../framework/grain/options.ts';
import { LIMITS } from '../../../framework/limits.ts';
import { checkSiloOptions } from '../../../framework/silo-options.ts';

/** A class with these decorators, as TypeScript applies them. */
function withGrain(options: Record<string, unknown>): GrainClass {
  @grain(options as GrainOptions)
  class Declared extends Grain {
    @method() async go(): Promise<void> {}
  }
  return Declared;
}

function withMethod(options: Record<string, unknown>, name = 'go'): GrainClass {
  @grain()
  class Declared extends Grain {
    async [name](): Promise<void> {}
  }
  method(options as MethodOptions)(Declared.prototype, name);
  return Declared;
}

/** A class whose member gets a decorator that does not fit it. */
function misplaced(
  decorate: (target: typeof Grain & { prototype: object }) => void,
  body?: object,
): GrainClass {
  @grain()
  class Declared extends Grain {
    @method() async go(): Promise<void> {}
  }
  Object.defineProperties(Declared.prototype, Object.getOwnPropertyDescriptors(body ?? {}));
  decorate(Declared);
  return Declared;
}

function undecorated(): GrainClass {
  class Bare extends Grain {
    @method() async go(): Promise<void> {}
  }
  return Bare;
}

function inheriting(): GrainClass {
  class Child extends (withGrain({}) as unknown as new () => Grain) {}
  return Child;
}

function silent(): GrainClass {
  @grain()
  class Mute extends Grain {
    async go(): Promise<void> {}
  }
  return Mute;
}

function twoStores(): GrainClass {
  @grain()
  class Torn extends Grain {
    @state({ store: 'one' }) a = 1;
    @state({ store: 'two' }) b = 1;
    @method() async go(): Promise<void> {}
  }
  return Torn;
}

function statefulWorker(): GrainClass {
  @grain({ placement: { workers: 2 } })
  class Tool extends Grain {
    @state() a = 1;
    @method() async go(): Promise<void> {}
  }
  return Tool;
}

function forgetful(): GrainClass {
  @grain()
  class Forgetful extends Grain {
    @method() async go(): Promise<void> {}
    override onDehydrate(): unknown {
      return 'lost';
    }
  }
  return Forgetful;
}

function oneWayStream(): GrainClass {
  @grain()
  class Stream extends Grain {
    @method({ oneWay: true }) async *go(): AsyncGenerator<number> {}
  }
  return Stream;
}

const REFUSED: readonly [string, () => unknown, RegExp][] = [
  ['onDehydrate alone', forgetful, /class Forgetful: onDehydrate .*add onRehydrate\(value\)/],
  ['no class', () => 'Counter', /Counter is not a grain class: it must extend Grain/],
  ['a class that does not extend Grain', () => class Other {}, /class Other is not a grain class/],
  ['Grain itself', () => Grain, /class Grain|not a grain class/],
  ['a class without @grain', undecorated, /class Bare .*put @grain\(\) above it/],
  ['a class whose parent only has @grain', inheriting, /class Child .*put @grain\(\) above it/],
  ['a class without a method', silent, /class Mute has no callable method: put @method\(\)/],
  ['a name with a slash', () => withGrain({ name: 'a/b' }), /class Declared: 'a\/b'.*@grain\(\{ name/],
  ['an empty name', () => withGrain({ name: '' }), /class Declared: ''/],
  ['a name that is no text', () => withGrain({ name: 5 }), /class Declared: '5'/],
  ['idleMs 0', () => withGrain({ idleMs: 0 }), /class Declared: @grain: idleMs is 0; .*from 1/],
  [
    'an option that is none',
    () => withGrain({ idleMS: 5 }),
    /class Declared: @grain: there is no option 'idleMS'; there are: name/,
  ],
  ['idleMs NaN', () => withGrain({ idleMs: Number.NaN }), /idleMs is NaN/],
  ['mailboxMax 0', () => withGrain({ mailboxMax: 0 }), /@grain: mailboxMax is 0/],
  [
    'reentrant sometimes',
    () => withGrain({ reentrant: 'sometimes' }),
    /reentrant is true, false or 'callChain'/,
  ],
  [
    'an unknown placement',
    () => withGrain({ placement: 'near' }),
    /placement is near; use ring, preferLocal/,
  ],
  ['a placement without choose', () => withGrain({ placement: {} }), /placement is .*a Placement/],
  ['no workers', () => withGrain({ placement: { workers: 0 } }), /workers is 0; it must be a whole number/],
  ['half a worker', () => withGrain({ placement: { workers: 1.5 } }), /workers is 1\.5/],
  ['a worker with state', statefulWorker, /class Tool: a worker is stateless; remove @state from a/],
  ['timeoutMs 0', () => withMethod({ timeoutMs: 0 }), /class Declared: @method on go: timeoutMs is 0/],
  ['a method with a taken name', () => withMethod({}, 'save'), /@method on save: .*meaning of its own/],
  ['a method that is a hook', () => withMethod({}, 'onActivate'), /@method on onActivate: .*choose another/],
  ['a method that objects have', () => withMethod({}, 'toString'), /@method on toString/],
  ['a method named then', () => withMethod({}, 'then'), /@method on then: .*meaning of its own/],
  ['a method that starts with $', () => withMethod({}, '$id'), /@method on \$id/],
  ['a method with a long name', () => withMethod({}, 'x'.repeat(129)), /the name is longer than 128/],
  ['a one-way stream', oneWayStream, /class Stream: @method on go: a stream cannot be one-way/],
  [
    'a static method',
    () => misplaced((Class) => method()(Class, 'make')),
    /@method on make: a static method .*remove 'static'/,
  ],
  [
    'a method named by a symbol',
    () => misplaced(({ prototype }) => method()(prototype, Symbol('s'))),
    /@method on Symbol\(s\): .*use a string/,
  ],
  [
    'a private method',
    () => misplaced(({ prototype }) => method()(prototype, '#secret')),
    /@method on #secret: a private method .*remove the '#'/,
  ],
  [
    '@method on a field',
    () => misplaced(({ prototype }) => method()(prototype, 'count')),
    /@method on count: it is no method; use @state\(\)/,
  ],
  [
    '@method on an accessor',
    () =>
      misplaced(({ prototype }) => method()(prototype, 'total'), {
        get total(): number {
          return (this as unknown as { key: string }).key.length;
        },
      }),
    /@method on total: it is no method/,
  ],
  [
    '@state on a method',
    () => misplaced(({ prototype }) => state()(prototype, 'go')),
    /class Declared: @state on go: it is no field; use @method\(\)/,
  ],
  [
    '@state on an accessor',
    () =>
      misplaced(({ prototype }) => state()(prototype, 'total'), {
        get total() {
          return 1;
        },
      }),
    /@state on total: it is no field; decorate the field behind it/,
  ],
  [
    '@state on what grains have',
    () => misplaced(({ prototype }) => state()(prototype, 'key')),
    /@state on key: it is no field/,
  ],
  ['a static field', () => misplaced((Class) => state()(Class, 'all')), /@state on all: a static field/],
  [
    'a private field',
    () => misplaced(({ prototype }) => state()(prototype, '#count')),
    /@state on #count: a private field .*remove the '#'/,
  ],
  [
    'a field named by a symbol',
    () => misplaced(({ prototype }) => state()(prototype, Symbol('s'))),
    /@state on Symbol\(s\)/,
  ],
  [
    'a record without a name',
    () => misplaced(({ prototype }) => state({ name: '' })(prototype, 'a')),
    /@state on a: a record's name has 1 to 128 characters/,
  ],
  ['a record in two stores', twoStores, /class Torn: @state on b: record 'state' is in store 'one' already/],
];

describe('a grain class is refused, with its name, the member and the remedy:', () => {
  test.each(REFUSED)('%s', (_what, declare, message) => {
    let error: unknown;
    try {
      grainTypeOf(declare() as GrainClass);
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(InvalidConfigError);
    expect((error as Error).message).toMatch(message);
  });

  test('two of one name', () => {
    const [one, other] = [withGrain({ name: 'Same' }), withGrain({ name: 'Same' })];
    expect(() => checkSiloOptions({ grains: [one, other] })).toThrow(
      /two grain classes are named 'Same' \(Declared and Declared\).*@grain\(\{ name/,
    );
    expect(() => checkSiloOptions({ grains: [one, one] })).not.toThrow();
  });

  test('one whose store the silo does not have', () => {
    const Class = misplaced(({ prototype }) => state({ store: 'cold' })(prototype, 'a'));
    expect(() => checkSiloOptions({ grains: [Class] })).toThrow(
      /class Declared: the fields a are kept in store 'cold'.*Silo\.start\(\{ stores: \{ "cold"/,
    );
  });

  test('one with decorators of the ECMAScript proposal', () => {
    const decorate = method() as unknown as (value: unknown, context: object) => void;
    expect(() => decorate(async () => {}, { kind: 'method', name: 'go' })).toThrow(/experimentalDecorators/);
  });
});

describe('a grain class', () => {
  test('inherits methods and state, and may declare them anew', () => {
    abstract class Parent extends Grain {
      @state() a = 1;
      @method() async one(): Promise<void> {}
      @method() async two(): Promise<void> {}
    }
    @grain({ name: 'child' })
    class Child extends Parent {
      @state({ name: 'other' }) b = 1;
      @method({ readOnly: true }) override async two(): Promise<void> {}
    }
    const type = grainTypeOf(Child);
    expect(type.name).toBe('child');
    expect([...type.methods.keys()].sort()).toEqual(['one', 'two']);
    expect(type.methods.get('two')).toMatchObject({ readOnly: true, repeatable: true });
    expect(type.records).toEqual([
      { name: 'state', store: 'default', fields: ['a'] },
      { name: 'other', store: 'default', fields: ['b'] },
    ]);
  });

  test('keeps state in accessor fields, and in what has a getter and a setter', () => {
    @grain()
    class Twofold extends Grain {
      @state() accessor level = 1;
      #hidden = 2;
      @state()
      get shown(): number {
        return this.#hidden;
      }
      set shown(value: number) {
        this.#hidden = value;
      }
      @method() async go(): Promise<void> {}
    }
    expect(grainTypeOf(Twofold).records).toMatchObject([{ name: 'state', fields: ['level', 'shown'] }]);
  });

  test('has its options, with defaults', () => {
    expect(grainTypeOf(withGrain({}))).toMatchObject({
      name: 'Declared',
      reentrant: false,
      keepAlive: false,
      workers: undefined,
      mailboxMax: LIMITS.mailbox,
      interleaves: false,
    });
    expect(grainTypeOf(withGrain({ placement: { workers: 4 }, reentrant: 'callChain' }))).toMatchObject({
      workers: 4,
      interleaves: true,
    });
  });
});
