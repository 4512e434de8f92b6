import { InvalidConfigError, NotSerializableError } from '../errors.ts';
import { LIMITS } from '../limits.ts';

/** A class whose instances may be abstract or need arguments: only its prototype and name are used. */
export type Class<T extends object> = abstract new (...args: never[]) => T;

export interface TypeCodec<T extends object, Data> {
  /**
   * The name on the wire and in stored records; the name of the class by default. Pin it where classes are
   * minified.
   */
  readonly name?: string;
  /** The data of an instance, itself something that can travel. */
  encode(value: T): Data;
  /** An instance from such data. The data may be of another version, or forged: check it. */
  decode(data: Data): T;
}

export interface RegisteredType {
  readonly name: string;
  encode(value: object): unknown;
  decode(data: unknown): object;
}

const byPrototype = new Map<object, RegisteredType>();
const byName = new Map<string, RegisteredType>();

/**
 * Lets instances of a class travel, in calls and in state. Both sides must register it, under one name.
 * Subclasses are classes of their own. Throws `InvalidConfigError` when the class or the name is taken.
 */
export function registerType<T extends object, Data>(type: Class<T>, codec: TypeCodec<T, Data>): void {
  const name = codec.name ?? type.name;
  if (name === '' || name.length > LIMITS.nameChars) {
    throw new InvalidConfigError(
      `registerType: '${name}' is no name; give one of 1 to ${LIMITS.nameChars} characters in \`name\``,
    );
  }
  const prototype = type.prototype as object;
  if (byName.has(name))
    throw new InvalidConfigError(
      `registerType: the name '${name}' is taken; give this class another \`name\``,
    );
  if (byPrototype.has(prototype))
    throw new InvalidConfigError(`registerType: class ${type.name} is registered already`);
  const registered: RegisteredType = {
    name,
    encode: (value) => codec.encode(value as T),
    decode: (data) => codec.decode(data as Data),
  };
  byName.set(name, registered);
  byPrototype.set(prototype, registered);
}

export function registeredTypeOf(value: object): RegisteredType | undefined {
  return byPrototype.get(Object.getPrototypeOf(value) as object);
}

export function registeredType(name: string): RegisteredType | undefined {
  return byName.get(name);
}

/**
 * Throws `NotSerializableError` when `decode` does: both a bug in it and data it does not want come to this.
 */
export function decodeRegistered(type: RegisteredType, data: unknown): object {
  try {
    return type.decode(data);
  } catch (cause) {
    throw new NotSerializableError(
      `a value of the registered class '${type.name}' arrived, and its \`decode\` threw: see the cause`,
      {
        cause,
      },
    );
  }
}
