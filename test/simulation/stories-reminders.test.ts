import {
  Grain,
  grain,
  method,
  type Reminder,
  type ReminderTick,
  type RemindOptions,
  reminder,
} from 'granary';
import { FAULTS, type FaultKind, type SimulatedCluster, simulate } from 'granary/testing';
import { afterEach, describe, expect, test } from 'vitest';
import { seeds } from '../support/seeds.ts';

/** A tick's method, or a `forget` that resolved, and when; `at` is the time of the simulation. */
interface Seen {
  readonly what: 'tick' | 'forgotten';
  readonly key: string;
  readonly at: number;
  readonly wallAt: number;
  readonly scheduledAt: number;
  readonly missed: number;
}

let seen: Seen[] = [];
let virtualNow = () => 0;
afterEach(() => {
  seen = [];
});

@grain()
class Metronome extends Grain {
  @method({ idempotent: true })
  async start(options: RemindOptions): Promise<Reminder> {
    return this.context.remind('beat', options);
  }

  /** Ticks that come in the meantime wait for their turn behind this one. */
  @method({ idempotent: true })
  async stop(inMs: number): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, inMs));
    await this.context.forget('beat');
    this.#note('forgotten', { scheduledAt: 0, missed: 0 });
  }

  @method({ idempotent: true })
  async list(): Promise<readonly Reminder[]> {
    return this.context.reminders();
  }

  @reminder('beat')
  async onBeat(tick: ReminderTick): Promise<void> {
    this.#note('tick', tick);
    await new Promise((resolve) => setTimeout(resolve, this.context.random.next() * 20));
  }

  #note(what: Seen['what'], { scheduledAt, missed }: Pick<ReminderTick, 'scheduledAt' | 'missed'>): void {
    seen.push({ what, key: this.key, at: virtualNow(), wallAt: this.context.now(), scheduledAt, missed });
  }
}

const OPTIONS = { partitions: 16, callTimeoutMs: 5_000 };
const TROUBLE_MS = 40_000;
const CALM_MS = 45_000;
/** Of each wall clock here: they are right, as nobody sets them. */
const withoutClocks = FAULTS.filter((fault) => fault !== 'clockJump');

/** Tries until it succeeds: by the end of the trouble at the latest. */
async function insist<T>(cluster: SimulatedCluster, act: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await act();
    } catch {
      await cluster.sleep(500);
    }
  }
}

const PLANS: readonly RemindOptions[] = [
  { periodMs: 1_000 },
  { periodMs: 1_700, dueMs: 0 },
  { periodMs: 5_000 },
  { cron: '*/7 * * * * *' },
  { periodMs: 1_000, missed: 'all' },
  { periodMs: 3_100, missed: 'all' },
  { cron: '*/2 * * * * *', missed: 'all', timezone: 'Asia/Kolkata' },
  { periodMs: 1_000, missed: 'skip' },
  { periodMs: 4_000, missed: 'skip' },
  { dueMs: 0 },
  { dueMs: 1_000 },
  { dueMs: 7_000 },
  { dueMs: 30_000 },
];

function following(options: RemindOptions, after: number): number {
  if (options.periodMs !== undefined) return after + options.periodMs;
  const stepMs = Number(/\d+/.exec(options.cron ?? '')) * 1_000;
  const minute = Math.floor(after / 60_000) * 60_000;
  const next = minute + (Math.floor((after - minute) / stepMs) + 1) * stepMs;
  return Math.min(next, minute + 60_000);
}

/** What of a reminder's ticks is not as it was promised, in words. */
function broken(options: RemindOptions, firstAt: number, ticks: readonly Seen[], endAt: number): string[] {
  const wrong = ticks
    .filter(({ wallAt, scheduledAt }) => wallAt < scheduledAt)
    .map(({ scheduledAt }) => `early: ${scheduledAt}`);
  const times = [...new Set(ticks.map(({ scheduledAt }) => scheduledAt))].filter((at) => at >= firstAt);
  if (options.missed !== 'skip' && !times.includes(firstAt)) wrong.push(`the first, ${firstAt}, is missing`);
  if (options.dueMs !== undefined && options.periodMs === undefined) return wrong;
  const inOrder = [...times].sort((a, b) => a - b);
  for (const [index, at] of inOrder.entries()) {
    const next = inOrder[index + 1];
    if (next === undefined) {
      if (at < endAt - 10_000) wrong.push(`none after ${at}, ${endAt - at} ms before the end`);
    } else if (options.missed === 'skip') {
      let due = at;
      while (due < next) due = following(options, due);
      if (due !== next) wrong.push(`${next} is no regular time`);
    } else {
      const missed = ticks.filter((tick) => tick.scheduledAt === at).map((tick) => tick.missed);
      const announced = missed.map((count) => {
        let due = following(options, at);
        for (let each = 0; each < count; each++) due = following(options, due);
        return due;
      });
      if (!announced.includes(next)) wrong.push(`after ${at} comes ${next}, not ${announced.join(' or ')}`);
    }
  }
  return wrong;
}

// The promises: at least once for each time that was due, none early, none passed over but by the policy.
describe('reminders that are set tick as they should, whatever happens meanwhile', () => {
  test.each(seeds(6))('seed %i', async (seed) => {
    const scene = { seed, silos: 4, grains: [Metronome], options: OPTIONS, faults: withoutClocks };
    await simulate(scene, async (cluster) => {
      virtualNow = () => cluster.now;
      const set = await Promise.all(
        PLANS.map((plan, key) => insist(cluster, () => cluster.grain(Metronome, key).start(plan))),
      );
      await cluster.sleep(Math.max(TROUBLE_MS - cluster.now, 0));
      await cluster.stopFaults();
      await cluster.sleep(CALM_MS);
      const lists = await Promise.all(PLANS.map((_, key) => cluster.grain(Metronome, key).list()));
      const endAt = Math.max(...seen.map(({ wallAt }) => wallAt));
      const wrong = PLANS.flatMap((plan, key) => {
        const ticks = seen.filter((each) => each.key === String(key));
        const problems = broken(plan, (set[key] as Reminder).nextAt, ticks, endAt);
        const repeats = (plan.periodMs ?? plan.cron) !== undefined;
        if ((lists[key]?.length === 1) !== repeats) problems.push(`${lists[key]?.length} are set in the end`);
        return problems.map((problem) => `${JSON.stringify(plan)}: ${problem}`);
      });
      expect(wrong).toEqual([]);
    });
  });
});

/** Whatever one does not need two activations of one grain for. */
const ONE_ACTIVATION: readonly FaultKind[] = [
  'crash',
  'leave',
  'join',
  'storeLatency',
  'storeErrors',
  'storeErrorsAfterWrite',
  'lostStoreAnswers',
];

describe.each([
  ['with one activation, none begins after it', ONE_ACTIVATION, 0],
  [
    'in a split, none begins a second after it, the time that an answer of the store may take',
    withoutClocks,
    1_000,
  ],
] as const)('a reminder that is forgotten does not come back: %s', (_, faults, graceMs) => {
  test.each(seeds(4))('seed %i', async (seed) => {
    await simulate({ seed, silos: 3, grains: [Metronome], options: OPTIONS, faults }, async (cluster) => {
      virtualNow = () => cluster.now;
      const keys = Array.from({ length: 16 }, (_, key) => key);
      await Promise.all(
        keys.map(async (key) => {
          const metronome = cluster.grain(Metronome, key);
          await insist(cluster, () => metronome.start({ periodMs: 1_000 }));
          await cluster.sleep(cluster.random.between(0, 20_000));
          await insist(cluster, () => metronome.stop(cluster.random.between(0, 1_500)));
        }),
      );
      await cluster.stopFaults();
      await cluster.sleep(10_000);
      for (const key of keys) expect(await cluster.grain(Metronome, key).list()).toEqual([]);
      const late = seen.filter(({ what, key, at }, index) => {
        const forgotten = seen.findIndex((each) => each.what === 'forgotten' && each.key === key);
        return what === 'tick' && index > forgotten && at >= (seen[forgotten]?.at ?? 0) + graceMs;
      });
      expect(late).toEqual([]);
      expect(seen.filter(({ what }) => what === 'tick').length).toBeGreaterThan(0);
    });
  });
});
