import 'reflect-metadata';
import { expect, test } from 'vitest';

const seen: string[] = [];

function field(target: object, name: string): void {
  seen.push(`field ${target.constructor.name}.${name}`);
}

function method(target: object, name: string, descriptor: PropertyDescriptor): void {
  Reflect.defineMetadata('method', typeof descriptor.value, target, name);
}

function type(options: { name: string }) {
  return (target: abstract new () => object): void => Reflect.defineMetadata('type', options, target);
}

@type({ name: 'cart' })
class Cart {
  @field items = 3;
  #secret = 4;

  @method
  total(): number {
    return this.items + this.#secret;
  }
}

test('decorators are the legacy ones, and metadata stays with the class that they decorate', () => {
  expect(seen).toEqual(['field Cart.items']);
  expect(Reflect.getMetadata('type', Cart)).toEqual({ name: 'cart' });
  expect(Reflect.getMetadata('method', Cart.prototype, 'total')).toBe('function');
  expect(new Cart().total()).toBe(7);
});
