import {
  Client,
  Grain,
  grain,
  type IncomingCall,
  type IncomingInterceptor,
  type InterceptedCall,
  inProcess,
  method,
  type OutgoingInterceptor,
  registerError,
  Silo,
  type SiloOptions,
} from 'granary';

/** A test with interceptors: what they are, what was done, and a silo and a client that have them. */
export const scene = {
  /** What interceptors and methods have done, in order. */
  log: [] as string[],
  incoming: passing as IncomingInterceptor,
  outgoing: passing as OutgoingInterceptor,
  /** Ends the call of `Plain.interleaved` that waits. */
  release: undefined as (() => void) | undefined,
  pair: undefined as unknown as Pair,
};

function passing(_call: InterceptedCall, next: () => Promise<unknown>): Promise<unknown> {
  return next();
}

/** To be called before each test. */
export async function setScene(): Promise<void> {
  Object.assign(scene, { log: [], incoming: passing, outgoing: passing, release: undefined });
  scene.pair = new Pair();
  await scene.pair.start();
}

export const plain = (key = 'x') => scene.pair.client.grain(Plain, key);

export class Refused extends Error {
  constructor(
    message: string,
    readonly user: unknown,
  ) {
    super(message);
    this.name = 'Refused';
  }
}
registerError(Refused, { name: 'test/Refused' });

/** Says when it is entered and left. */
export const tell =
  (name: string) =>
  async (call: InterceptedCall, next: () => Promise<unknown>): Promise<unknown> => {
    scene.log.push(`${name} > ${call.method}`);
    const result = await next();
    scene.log.push(`${name} < ${call.method}`);
    return result;
  };

@grain({ interceptors: [tell('parent')] })
export class Parent extends Grain {
  @method()
  async echo(value: unknown): Promise<unknown> {
    scene.log.push(`echo ${JSON.stringify(value)}`);
    return value;
  }

  @method()
  async baggage(): Promise<unknown> {
    return this.context.request;
  }
}

@grain({ interceptors: [tell('first'), tell('second')] })
export class Child extends Parent {
  @method()
  async mine(): Promise<string> {
    return 'mine';
  }
}

@grain()
export class Plain extends Grain {
  @method()
  async echo(value: unknown): Promise<unknown> {
    scene.log.push(`echo ${JSON.stringify(value)}`);
    return value;
  }

  @method()
  async baggage(): Promise<Record<string, unknown>> {
    return this.context.request;
  }

  @method()
  async baggageOf(key: string): Promise<Record<string, unknown>> {
    return this.grain(Plain, key).baggage();
  }

  @method({ oneWay: true })
  async told(value: unknown): Promise<void> {
    scene.log.push(`told ${value}`);
  }

  @method({ interleave: true })
  async *upTo(n: number): AsyncGenerator<number> {
    try {
      for (let i = 1; i <= n; i++) yield i;
    } finally {
      scene.log.push('stream ends');
    }
  }

  @method({ interleave: true })
  async *upToOf(key: string, n: number): AsyncGenerator<number> {
    yield* this.grain(Plain, key).upTo(n);
  }

  @method({ interleave: true })
  async interleaved(): Promise<unknown> {
    await new Promise<void>((resolve) => {
      scene.release = resolve;
    });
    return this.context.request;
  }

  @method()
  async wait(): Promise<boolean> {
    const { signal } = this.context;
    await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
    return signal.aborted;
  }
}

@grain({ placement: { workers: 2 } })
export class Worker extends Grain {
  @method()
  async work(n: number): Promise<number> {
    return n * 2;
  }
}

export async function all<Item>(items: AsyncIterable<Item>): Promise<Item[]> {
  const read: Item[] = [];
  for await (const item of items) read.push(item);
  return read;
}

/** A silo, and a client of it, with the interceptors that a test sets. */
export class Pair {
  readonly #network = inProcess();
  silo!: Silo;
  client!: Client;

  async start(options: Partial<SiloOptions> = {}): Promise<void> {
    const common = { transport: this.#network, log: 'silent' } as const;
    const grains = [Parent, Child, Plain, Worker];
    const interceptors = {
      incoming: [(call: IncomingCall, next: () => Promise<unknown>) => scene.incoming(call, next)],
    };
    this.silo = await Silo.start({ ...common, name: 'a', grains, interceptors, ...options });
    const out: OutgoingInterceptor = (call, next) => scene.outgoing(call, next);
    this.client = await Client.connect({ ...common, interceptors: { outgoing: [out] } });
  }

  async stop(): Promise<void> {
    await this.client?.close();
    await this.silo?.stop();
  }
}
