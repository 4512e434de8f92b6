import { InvalidKeyError } from '../errors.ts';
import { Observers } from '../grain/observers.ts';
import { type Caller, Reference, referenceClassOf } from '../grain/reference.ts';
import { isGrainId } from '../identity/grain-id.ts';
import { registerType, setReferenceCodec } from '../serialization/codec.ts';

/**
 * A reference that arrived where nobody can call, in an error's field say. It can be passed on; calling it
 * fails.
 */
const nobody: Caller = {
  grainType: () => undefined,
  invoke: (call) =>
    Promise.reject(
      new TypeError(`${call.target}: this reference is bound to no silo or client; pass it through one`),
    ),
  stream: (call) => {
    throw new TypeError(`${call.target}: this reference is bound to no silo or client; pass it through one`);
  },
  invokeOrStream: (call) => nobody.invoke(call) as ReturnType<Caller['invokeOrStream']>,
  now: () => Number.NaN,
};

/** A reference that is bound to a caller, of the class that the caller knows for the type. */
export function referenceTo(id: string, caller: Caller): Reference {
  const Class = referenceClassOf(id, caller);
  return new Class(id, caller);
}

setReferenceCodec({
  is: (value) => Reference.is(value),
  idOf: (reference) => Reference.idOf(reference as Reference),
  create(id, binder) {
    if (!isGrainId(id)) throw new InvalidKeyError(`'${String(id).slice(0, 80)}' is not a grain id`);
    return referenceTo(id, (binder as Caller | undefined) ?? nobody);
  },
});

registerType<Observers<unknown>, unknown>(Observers, {
  name: '$Observers',
  encode: (observers) => Observers.encode(observers),
  decode: (data) => Observers.decode(data),
});
