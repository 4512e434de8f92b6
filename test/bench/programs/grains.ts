import { Grain, grain, method, state } from 'granary';

/** The smallest grain that does something, and what it is compared with. */
@grain()
export class Counter extends Grain {
  count = 0;

  @method()
  async increment(by: number): Promise<number> {
    this.count += by;
    return this.count;
  }

  @method()
  async where(): Promise<string> {
    return this.context.silo;
  }
}

export class PlainCounter {
  count = 0;

  async increment(by: number): Promise<number> {
    this.count += by;
    return this.count;
  }
}

/** One state field, which a call reads and nobody saves. */
@grain()
export class KeptCounter extends Grain {
  @state() count = 0;

  @method()
  async increment(by: number): Promise<number> {
    this.count += by;
    return this.count;
  }
}

/** Beside the count, what makes its record about 200 bytes. */
export const NOTE = 'n'.repeat(175);

@grain()
export class SavedCounter extends Grain {
  @state() count = 0;
  @state() note = NOTE;

  @method()
  async increment(by: number): Promise<number> {
    this.count += by;
    await this.save();
    return this.count;
  }
}

export interface Order {
  readonly id: string;
  readonly customer: { readonly name: string; readonly email: string; readonly since: number };
  readonly lines: readonly { readonly article: string; readonly quantity: number; readonly cents: number }[];
  readonly tags: readonly string[];
  readonly paid: boolean;
}

/** An object of about 1 kB as JSON. */
export const ORDER: Order = {
  id: 'order-2026-000042',
  customer: { name: 'Ada Lovelace', email: 'ada@example.com', since: 1_815 },
  lines: Array.from({ length: 14 }, (_, line) => ({
    article: `article-${line}-blue`,
    quantity: line + 1,
    cents: 1_999 + line,
  })),
  tags: ['gift', 'express', 'insured'],
  paid: true,
};

@grain()
export class OrderTaker extends Grain {
  @method()
  async take(order: Order): Promise<number> {
    return order.lines.length;
  }
}

export class PlainOrderTaker {
  async take(order: Order): Promise<number> {
    return order.lines.length;
  }
}

/** Streams: of large items without an end, of small ones up to a number. */
@grain()
export class Source extends Grain {
  @method()
  async *items(bytes: number): AsyncGenerator<Uint8Array> {
    const item = new Uint8Array(bytes).fill(7);
    for (;;) yield item;
  }

  @method()
  async *numbers(count: number): AsyncGenerator<number> {
    for (let number = 0; number < count; number++) yield number;
  }

  @method()
  async where(): Promise<string> {
    return this.context.silo;
  }
}

/** Grains that the callers call. */
export const GRAINS = 1_000;
