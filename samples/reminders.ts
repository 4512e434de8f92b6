import { Grain, grain, memory, method, type ReminderTick, reminder, Silo, state } from 'granary';

/** A month is short here. */
const MONTH_MS = 1_000;

/**
 * A subscription that is charged each month until it is cancelled. The reminder is in the store, not in a
 * process: it finds its way to whichever silo runs. A tick may come twice, after a crash say, but always with
 * the same `scheduledAt`: that is how this grain knows a month that is paid.
 */
@grain()
class Subscription extends Grain {
  @state() paid: readonly number[] = [];

  @method()
  async begin(): Promise<void> {
    await this.context.remind('charge', { dueMs: 0, periodMs: MONTH_MS, missed: 'all' });
  }

  /** When this has returned, nothing is charged any more. */
  @method()
  async cancel(): Promise<boolean> {
    await this.context.forget('charge');
    return this.paid.every((month, index) => index === 0 || month - (this.paid[index - 1] ?? 0) === MONTH_MS);
  }

  @reminder('charge')
  async charge({ scheduledAt }: ReminderTick): Promise<void> {
    if (this.paid.includes(scheduledAt)) return;
    this.paid = [...this.paid, scheduledAt];
    await this.save();
    console.log(`${this.context.silo} charges month ${this.paid.length}`);
  }
}

/** Resolves when a silo has made so many ticks. A silo alone does not keep a process alive; this does. */
function ticks(silo: Silo, count: number): Promise<void> {
  return new Promise((resolve) => {
    let left = count;
    const alive = setInterval(() => {}, MONTH_MS);
    const stop = silo.subscribe(
      (event) => {
        if (event.type !== 'turnEnded' || event.method !== '$remind.charge' || --left > 0) return;
        stop();
        clearInterval(alive);
        resolve();
      },
      ['turnEnded'],
    );
  });
}

const store = memory(); // postgres({ url }) keeps reminders, too
const spring = await Silo.start({ name: 'spring', grains: [Subscription], stores: { default: store } });
const charged = ticks(spring, 1);
await spring.grain(Subscription, 'ada').begin();
await charged;
await spring.stop();

// Nobody is there when the second month is due.
await new Promise((resolve) => setTimeout(resolve, 1.2 * MONTH_MS));

const summer = await Silo.start({ name: 'summer', grains: [Subscription], stores: { default: store } });
await ticks(summer, 2);
const isRegular = await summer.grain(Subscription, 'ada').cancel();
console.log(isRegular ? 'every month was charged, once' : 'the books are wrong');
await summer.stop();
