/** What a reference to a grain shows to serialization: the canonical id, `Type/key`. */
export interface WireReference {
  readonly $id: string;
}

/**
 * Whoever receives: it is handed through to `create` untouched, so that a reference that arrives in a grain
 * is bound to it.
 */
export type RefBinder = unknown;

/** How the grain layer makes and recognizes references; serialization lies below it and cannot know. */
export interface ReferenceCodec {
  /**
   * Whether a value is a reference. References are proxies that turn property reads into calls, so this must
   * not read a property of a value that it does not know (use a `WeakSet` or a symbol that the proxy
   * answers). It is asked about functions and objects whose prototype is neither `Object.prototype`,
   * `Array.prototype` nor null: the `getPrototypeOf` of a reference must return another.
   */
  is(value: object): boolean;
  idOf(reference: object): string;
  /** Throws when `id` is not a grain id: it may come from anyone. */
  create(id: string, binder: RefBinder): object;
}

let codec: ReferenceCodec | undefined;

/** Called once, by the grain layer, when it is loaded. */
export function setReferenceCodec(given: ReferenceCodec): void {
  codec = given;
}

export function isReference(value: object): boolean {
  return codec?.is(value) === true;
}

export function referenceId(reference: object): string {
  if (codec === undefined) throw new Error('setReferenceCodec was not called');
  return codec.idOf(reference);
}

export function createReference(id: string, binder: RefBinder): object {
  if (codec === undefined) throw new Error('setReferenceCodec was not called');
  return codec.create(id, binder);
}
