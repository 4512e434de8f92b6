import type { GrainId } from '../identity/grain-id.ts';
import type { CallOptions } from './options.ts';

// biome-ignore lint/suspicious/noExplicitAny: `any` is how TypeScript matches a function of any parameters
type AnyMethod = (...args: any[]) => any;

/** Names of an object's methods. */
export type ObserverMethod<T> = { [Name in keyof T]-?: T[Name] extends AnyMethod ? Name : never }[keyof T];

/** An object's method as a grain calls it: always asynchronous. */
export type ObserverCall<M> = M extends (...args: infer Args) => infer Result
  ? (...args: Args) => Promise<Awaited<Result>>
  : never;

/**
 * A reference to an object of a client, or of the program that a silo is embedded in: calling a method on it
 * calls the object, in its own process. Can travel in calls and be kept in state.
 */
export type ObserverRef<T> = {
  readonly [Name in ObserverMethod<T>]: ObserverCall<T[Name]>;
} & {
  /** The object's name in the cluster, `$observer/<node>/<n>`. */
  readonly $id: GrainId;
  /** The same object, called with these options. */
  $with(options: CallOptions): ObserverRef<T>;
};

/** What `observe` gives: the reference to pass on. With `using`, its block is how long it can be called. */
export type Observation<T> = ObserverRef<T> & Disposable;
