import type { GrainId } from '../identity/grain-id.ts';
import type { Grain } from './grain.ts';
import type { CallOptions } from './options.ts';

// biome-ignore lint/suspicious/noExplicitAny: `any` is how TypeScript matches a function of any parameters
type AnyMethod = (...args: any[]) => any;

/** Names of the public methods of a grain class that are its own. */
export type MethodName<G> = {
  [Name in keyof G]: G[Name] extends AnyMethod ? Name : never;
}[Exclude<keyof G, keyof Grain>];

/** A grain's method as callers see it: always asynchronous. */
export type RemoteMethod<M> = M extends (...args: infer Args) => infer Result
  ? Result extends AsyncIterable<infer Item>
    ? (...args: Args) => AsyncIterableIterator<Item>
    : (...args: Args) => Promise<Awaited<Result>>
  : never;

/**
 * A typed reference to a grain: calling a method on it calls the grain, wherever that is. Can travel in calls
 * and be kept in state.
 */
export type GrainRef<G extends Grain> = {
  readonly [Name in MethodName<G>]: RemoteMethod<G[Name]>;
} & {
  /** The grain's canonical name, `Type/key`. */
  readonly $id: GrainId;
  /** The same grain, called with these options. */
  $with(options: CallOptions): GrainRef<G>;
};
