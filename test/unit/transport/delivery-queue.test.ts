import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { type Clock, systemClock } from '../../../framework/system/clock.ts';
import { DeliveryQueue } from '../../../framework/transport/delivery-queue.ts';

describe('the queue of an in-process network', () => {
  it('delivers all of a tick in order, as one batch, after the JavaScript that sent it', async () => {
    let batches = 0;
    const defer = (callback: () => void) => {
      batches++;
      systemClock.defer(callback);
    };
    const queue = new DeliveryQueue({ ...systemClock, defer });
    const delivered: number[] = [];
    await new Promise<void>((resolve) => {
      for (let i = 0; i < 100; i++) queue.post(() => delivered.push(i));
      queue.post(resolve);
      expect(delivered).toEqual([]);
    });
    expect(delivered).toEqual(Array.from({ length: 100 }, (_, i) => i));
    expect(batches).toBe(1);
  });

  it('lets timers have their turn among nodes that answer each other at once', async () => {
    const queue = new DeliveryQueue(systemClock);
    let rounds = 0;
    let timerFired = false;
    setTimeout(() => {
      timerFired = true;
    }, 1);
    await new Promise<void>((resolve) => {
      const again = () => {
        if (timerFired || ++rounds > 1_000_000) resolve();
        else queue.post(again);
      };
      again();
    });
    expect(timerFired).toBe(true);
  });

  it('delivers the rest of a batch when a receiver throws, and throws where the process hears of it', () => {
    const deferred: (() => void)[] = [];
    const clock: Clock = { ...systemClock, defer: (callback) => deferred.push(callback) };
    const queue = new DeliveryQueue(clock);
    const delivered: string[] = [];
    queue.post(() => {
      throw new Error('broken receiver');
    });
    queue.post(() => delivered.push('the rest'));
    deferred.shift()?.();
    expect(delivered).toEqual(['the rest']);
    expect(() => deferred.shift()?.()).toThrow('broken receiver');
  });

  it('keeps a program alive that only waits for an answer, and lets one end that waits for nothing', () => {
    const path = fileURLToPath(new URL('../../../framework/transport/in-process.ts', import.meta.url));
    const script = `
      import { inProcess } from ${JSON.stringify(path)};
      const network = inProcess();
      const open = (address, received) => network.open({ cluster: 'c', address, receiver: { received } });
      let answered;
      const b = await open('b~1', (lane, payload) => b.send(lane, 'a~1', payload, 1));
      const a = await open('a~1', () => answered());
      for (let i = 0; i < 1000; i++) {
        await new Promise((resolve) => { answered = resolve; a.send('data', 'b~1', new Uint8Array(1), 1); });
      }
      console.log('done');
    `;
    const args = ['--import', 'tsx', '--input-type=module', '--eval', script];
    const run = spawnSync(process.execPath, args, { encoding: 'utf8', timeout: 20_000 });
    expect(run.stdout.trim(), run.stderr).toBe('done');
    expect(run.status).toBe(0);
  }, 30_000);
});
