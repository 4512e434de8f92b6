/**
 * What every call of a shop has to pass: who calls is known (auth), each call is written down (audit) and
 * timed, and nobody sees another tenant's orders. None of it is in the grain's methods.
 */
import {
  Client,
  Grain,
  grain,
  type IncomingInterceptor,
  type InvalidArgumentsError,
  inProcess,
  method,
  type OutgoingInterceptor,
  registerError,
  Silo,
  state,
} from 'granary';
import { z } from 'zod';

/** An error of our own, which callers get as such: both sides register it. */
class NotAllowedError extends Error {
  override readonly name = 'NotAllowedError';
}
registerError(NotAllowedError);

const USERS: Record<string, { name: string; tenant: string } | undefined> = {
  'token-of-ada': { name: 'ada', tenant: 'acme' },
  'token-of-eve': { name: 'eve', tenant: 'evil' },
};

/** The token that came with the call becomes a user, for the grain and for all grains that it calls. */
const authenticate: IncomingInterceptor = (call, next) => {
  // Called by a grain, whose own caller was asked already, or by the runtime, a reminder say.
  if (call.caller !== undefined || call.method.startsWith('$')) return next();
  const user = USERS[String(call.request.token)];
  if (!user) throw new NotAllowedError(`${call.target}.${call.method}: who are you?`);
  call.request = { user: user.name, tenant: user.tenant };
  return next();
};

const audit: IncomingInterceptor = async (call, next) => {
  const line = `${call.request.user} ${call.target}.${call.method}`;
  try {
    const result = await next();
    console.log(`audit: ${line}: done`);
    return result;
  } catch (error) {
    console.log(`audit: ${line}: ${(error as Error).name}`);
    throw error;
  }
};

/** The first part of each order's key is the tenant that it belongs to. */
const onlyOwnTenant: IncomingInterceptor = (call, next) => {
  const [tenant] = call.key.split('/');
  if (call.request.tenant === tenant) return next();
  throw new NotAllowedError(`${call.target} is not an order of ${call.request.tenant}`);
};

@grain({ interceptors: [onlyOwnTenant] })
class Order extends Grain {
  @state() items: string[] = [];

  @method({ args: [z.string().min(1), z.number().int().positive().default(1)] })
  async add(item: string, count?: number): Promise<string[]> {
    this.items.push(...Array<string>(count ?? 1).fill(item));
    await this.save();
    return this.items;
  }

  @method({ readOnly: true, retry: { attempts: 3 } })
  async list(): Promise<string> {
    return `${this.items.join(', ')} (for ${this.context.request.user})`;
  }
}

/** Adds to every call of this client what identifies its user; the calls need not know. */
const as =
  (token: string): OutgoingInterceptor =>
  (call, next) => {
    call.request = { ...call.request, token };
    return next();
  };

const slowest = { method: '', ms: 0 };
const timed: OutgoingInterceptor = async (call, next) => {
  const start = performance.now();
  try {
    return await next();
  } finally {
    const ms = performance.now() - start;
    if (ms > slowest.ms) Object.assign(slowest, { method: call.method, ms });
  }
};

const transport = inProcess();
await using _silo = await Silo.start({
  ...{ grains: [Order], transport, log: 'silent' },
  interceptors: { incoming: [authenticate, audit] },
});
const connect = (...outgoing: OutgoingInterceptor[]) =>
  Client.connect({ transport, log: 'silent', interceptors: { outgoing } });
await using ada = await connect(timed, as('token-of-ada'));
await using eve = await connect(as('token-of-eve'));
await using nobody = await connect();

const order = ['acme', 42];
console.log(await ada.grain(Order, order).add('tea'));
console.log(await ada.grain(Order, order).list());
for (const client of [eve, nobody]) {
  await client
    .grain(Order, order)
    .list()
    .catch((error) => console.log(`${error instanceof NotAllowedError}: ${error.message}`));
}
await ada
  .grain(Order, order)
  .add('', -1)
  .catch((error: InvalidArgumentsError) =>
    console.log(
      error.code,
      error.issues.map(({ path }) => path),
    ),
  );
console.log(slowest.ms > 0 ? 'the slowest call was timed' : 'nothing was timed');
