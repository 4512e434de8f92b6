import { Grain, type GrainTimer, grain, method, state } from 'granary';
import { FAULTS, type SimulatedCluster, simulate } from 'granary/testing';
import { describe, expect, test } from 'vitest';
import { seeds } from '../support/seeds.ts';

const PERIOD_MS = 200;

/** Lives on its timers: it works and saves in ticks, beside calls that change and replace these. */
@grain({ idleMs: 3_000 })
class Clockwork extends Grain {
  @state() beats = 0;
  /** What runs and does not interleave; more than one is told. */
  #busy = 0;
  #pulses = 0;
  #beat: GrainTimer | undefined;

  override async onActivate(): Promise<void> {
    this.#beat = this.#start(PERIOD_MS);
    this.context.timer('pulse', { dueMs: 0, periodMs: 50, interleave: true }, () => this.#pulse());
  }

  @method({ idempotent: true })
  async look(): Promise<number> {
    return this.#alone(async () => this.beats);
  }

  @method({ idempotent: true })
  async change(dueMs: number): Promise<void> {
    await this.#alone(async () => this.#beat?.change({ dueMs, periodMs: PERIOD_MS }));
  }

  @method({ idempotent: true })
  async replace(dueMs: number): Promise<void> {
    await this.#alone(async () => {
      this.#beat = this.#start(dueMs);
    });
  }

  @method({ idempotent: true })
  async end(): Promise<void> {
    this.context.deactivate();
  }

  @method({ idempotent: true })
  async move(to: string): Promise<void> {
    this.context.migrate(to);
  }

  #start(dueMs: number): GrainTimer {
    return this.context.timer('beat', { dueMs, periodMs: PERIOD_MS }, () =>
      this.#alone(async () => {
        await sleep(this.context.random.next() * 100);
        this.beats++;
        await this.save();
      }),
    );
  }

  async #pulse(): Promise<void> {
    if (++this.#pulses > 1) throw new Broken('a tick runs beside itself');
    await sleep(this.context.random.next() * 100);
    this.#pulses--;
    if (this.context.random.next() < 0.05) throw new Error('now and then');
  }

  async #alone<T>(work: () => Promise<T>): Promise<T> {
    if (++this.#busy > 1) throw new Broken('two turns at once');
    try {
      return await work();
    } finally {
      this.#busy--;
    }
  }
}

class Broken extends Error {}

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** When ticks began and ended, by activation and timer. */
class Ticks {
  readonly #endedAt = new Map<string, number>();
  readonly startedAt = new Map<string, number>();
  readonly wrong: string[] = [];

  constructor(cluster: SimulatedCluster) {
    cluster.subscribe((_silo, event) => {
      if (event.type === 'timerFailed' && event.error instanceof Broken) this.wrong.push(event.error.message);
      if (event.type !== 'turnStarted' && event.type !== 'turnEnded') return;
      if (event.method !== '$timer.beat' && event.method !== '$timer.pulse') {
        // What is changed in a turn may tick before the period is over.
        if (event.type === 'turnEnded') this.#endedAt.delete(`${event.activationId} $timer.beat`);
        return;
      }
      const key = `${event.activationId} ${event.method}`;
      if (event.type === 'turnEnded') this.#endedAt.set(key, cluster.now);
      else this.#started(key, cluster.now, event.method === '$timer.beat' ? PERIOD_MS : 50);
    });
  }

  #started(key: string, now: number, periodMs: number): void {
    const pauseMs = now - (this.#endedAt.get(key) ?? Number.NEGATIVE_INFINITY);
    if (pauseMs < periodMs) this.wrong.push(`${key} ticked ${pauseMs} ms after the end of the tick before`);
    this.startedAt.set(key, now);
  }
}

async function disturb(cluster: SimulatedCluster, key: number, untilMs: number): Promise<void> {
  const { random } = cluster;
  while (cluster.now < untilMs) {
    const clockwork = cluster.grain(Clockwork, key).$with({ timeoutMs: 2_000 });
    const act = random.pick([
      () => clockwork.look(),
      () => clockwork.change(random.between(0, 400)),
      () => clockwork.replace(random.between(0, 400)),
      () => clockwork.end(),
      () => clockwork.move(random.pick(cluster.names)),
    ]);
    // In trouble a call may fail; that two turns met, it may not say.
    await act().catch((error) => expect(error).not.toMatchObject({ message: 'two turns at once' }));
    await cluster.sleep(random.between(0, 1_000));
  }
}

/** The store may owe an answer from before. */
async function lookAgain(cluster: SimulatedCluster, key: number): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    const failure = await cluster
      .grain(Clockwork, key)
      .look()
      .then(() => undefined, String);
    if (failure === undefined) return;
    if (attempt === 10) throw new Error(failure);
    await cluster.sleep(1_000);
  }
}

const RUN_MS = 12_000;
const KEYS = [0, 1, 2, 3, 4, 5];

describe.each([
  ['everything', FAULTS],
  ['crashes', ['crash']],
  ['pauses', ['pause']],
  ['splits', ['partition']],
] as const)('timers tick as they promise through %s', (_what, faults) => {
  test.each(seeds(3))('seed %i', async (seed) => {
    await simulate({ seed, silos: 4, grains: [Clockwork], faults: [...faults] }, async (cluster) => {
      const ticks = new Ticks(cluster);
      await Promise.all(KEYS.map((key) => disturb(cluster, key, cluster.now + RUN_MS)));
      await cluster.stopFaults();
      cluster.calm();
      await cluster.settled();
      await Promise.all(KEYS.map((key) => lookAgain(cluster, key)));
      const lives = () =>
        KEYS.flatMap((key) => cluster.activationsOf(Clockwork, key)).map(({ activationId }) => activationId);
      const [before, living] = [cluster.now, lives()];
      await cluster.sleep(1_000);
      const stillLiving = lives().filter((life) => living.includes(life));
      expect(stillLiving.length).toBeGreaterThan(0);
      for (const life of stillLiving)
        for (const timer of ['beat', 'pulse'])
          expect(ticks.startedAt.get(`${life} $timer.${timer}`) ?? 0).toBeGreaterThan(before);
      // Ticks do not count as use.
      await cluster.sleep(10_000);
      expect(lives()).toEqual([]);
      expect(ticks.wrong).toEqual([]);
    });
  });
});
