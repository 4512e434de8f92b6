import { Silo } from 'granary';
import { postgres } from 'granary/postgres';
import { SavedCounter } from './grains.ts';
import { callsPerSecond, type Load } from './load.ts';
import { answer, setting } from './session.ts';

/** With as many connections as it takes by itself. */
const store = postgres({ url: setting('DATABASE_URL') });
const silo = await Silo.start({ grains: [SavedCounter], stores: { default: store } });

/** Every caller has a grain of its own, which saves at each call. */
await answer((load: Load) => {
  const counters = Array.from({ length: load.callers }, (_, key) => silo.grain(SavedCounter, key));
  return callsPerSecond(load, (_random, caller) => (counters[caller] as (typeof counters)[0]).increment(1));
});
