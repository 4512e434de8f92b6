import type { Grain } from '../grain/grain.ts';
import type { DeactivationReason } from '../grain/options.ts';
import type { GrainId } from '../identity/grain-id.ts';
import type { RefBinder } from '../serialization/codec.ts';
import type { Records } from '../storage/records.ts';
import type { Clock, Timer } from '../system/clock.ts';
import type { ActivationServices } from './activation-services.ts';
import { type Luggage, packContents, unpackContents } from './luggage.ts';
import type { Streams } from './streams.ts';

/** What of an activation moves, or receives what has moved. */
export interface Household {
  readonly id: GrainId;
  readonly services: ActivationServices;
  readonly instance: Grain;
  readonly records: Records | undefined;
  readonly binder: RefBinder;
}

/** How long what an activation does last may hold up what comes after it. */
const HOOK_MS = 5_000;

/** Ends the streams of an activation, and runs its `onDeactivate` if there is a reason to tell. */
export async function sayGoodbye(
  { id, services, instance }: Household,
  streams: Streams | undefined,
  reason: DeactivationReason | undefined,
): Promise<void> {
  const { clock, events } = services;
  const last = async () => {
    await streams?.finish();
    if (reason) await instance.onDeactivate(reason);
  };
  try {
    await within(clock, 'onDeactivate', last());
  } catch (error) {
    events.publish({ type: 'hookFailed', grain: id, hook: 'onDeactivate', error });
  }
}

/** Rejects when a hook takes too long: it holds up the calls that wait for the next activation. */
async function within<T>(clock: Clock, hook: string, result: Promise<T>): Promise<T> {
  let timer: Timer | undefined;
  const tooLong = new Promise<never>((_, reject) => {
    timer = clock.after(HOOK_MS, () => reject(new Error(`${hook} took longer than ${HOOK_MS} ms`)));
  });
  try {
    return await Promise.race([result, tooLong]);
  } finally {
    timer?.cancel();
  }
}

/** What an activation takes along when it moves; undefined: nothing, or that failed, which an event tells. */
export async function packUp({
  id,
  services,
  instance,
  records,
}: Household): Promise<Uint8Array | undefined> {
  try {
    const dehydrated = async () => {
      const memory = await instance.onDehydrate();
      // A save that nobody awaits changes what is stored: it belongs to what is taken along.
      while (records?.isBusy) await records.ended();
      return memory;
    };
    const memory = await within(services.clock, 'onDehydrate', dehydrated());
    if (!records && memory === undefined) return undefined;
    return packContents({ records: records?.carried(instance) ?? [], memory });
  } catch (error) {
    services.events.publish({ type: 'hookFailed', grain: id, hook: 'onDehydrate', error });
    return undefined;
  }
}

/**
 * Gives a new activation, which has read its state, what the one before it took along. Not if somebody has
 * written since: what was in memory belongs to another state. Rejects with what `onRehydrate` throws.
 */
export async function settleIn(household: Household, luggage: Luggage): Promise<void> {
  const { id, services, instance, records, binder } = household;
  if (luggage[1] === 0) return;
  const lost = (reason: string) => services.events.publish({ type: 'luggageLost', grain: id, reason });
  let bytes: Uint8Array;
  try {
    bytes = await services.fetchLuggage(luggage);
  } catch (error) {
    return lost(String(error));
  }
  const contents = unpackContents(bytes, binder);
  if (records && !records.resume(instance, contents.records)) return lost('its state was written meanwhile');
  if (contents.memory !== undefined) await instance.onRehydrate(contents.memory);
}
