import { IdempotencyKeyReusedError, InvalidConfigError, PayloadTooLargeError } from '../errors.ts';
import type { GrainType, MethodSpec } from '../grain/grain-type.ts';
import { LIMITS } from '../limits.ts';
import type { Call } from '../rpc/call.ts';
import { pack, unpack } from '../serialization/codec.ts';
import { digestOf, type KeptAnswer } from '../storage/kept-answers.ts';
import { KEYED_RECORD } from '../storage/records.ts';
import type { GrainSide } from './grain-side.ts';

/**
 * Runs the method of a call that has an idempotency key, so that it takes effect once, whatever crashes.
 *
 * What the method changes and what it answers go to the store in one conditional write, when it has ended:
 * until then nothing has happened, from then on the call with that key has an answer, in every activation
 * that reads the record. An activation that did not know of it cannot write: its etag is an older one. So a
 * caller that hears of an error, or of nothing, makes the same call again, and either it runs for the first
 * time, or the answer is there.
 *
 * A method that throws has changed nothing: if it did change fields, they end with the activation, as after a
 * write that failed.
 */
export function runKeyed(call: Call, side: GrainSide, run: () => unknown): Promise<unknown> {
  const unfit = whyUnfit(side.type, call.spec as MethodSpec);
  if (!unfit) return once(call, side, run);
  const { target: grain, method } = call;
  throw new InvalidConfigError(`${grain}.${method} cannot be called with an idempotencyKey: ${unfit}`, {
    grain,
  });
}

async function once(call: Call, side: GrainSide, run: () => unknown): Promise<unknown> {
  const { method, idempotencyKey: key = '' } = call;
  const { records, grain: instance } = side.recordsNamed(KEYED_RECORD);
  // Now, since the method may change what it is given.
  const digest = digestOf(call.args instanceof Uint8Array ? call.args : pack(call.args, 'args'));
  // From here to `beginKeyed` nothing waits: what is known of the record then stays true until the commit.
  while (records.isBusy) await records.ended();
  const known = records.answerTo(key);
  if (known) return unpack(answerOf(known, call, digest), side.binder);
  records.beginKeyed(instance);
  let answer: Uint8Array;
  try {
    answer = pack(await run(), 'result');
    if (answer.length > LIMITS.keptAnswerBytes) throw tooLarge(call, answer.length);
  } catch (error) {
    records.undoKeyed(instance);
    throw error;
  }
  await records.commitKeyed(instance, { key, method, digest, answer });
  // As it is stored: others may have changed the object meanwhile, and who asks again gets this one.
  return unpack(answer, side.binder);
}

/** Why calls of a method cannot be made to take effect once. */
function whyUnfit(type: GrainType, spec: MethodSpec): string | undefined {
  if (type.workers !== undefined) return 'its class is a stateless worker, which keeps nothing';
  if (!type.records.some(({ name }) => name === KEYED_RECORD))
    return `its class has no record '${KEYED_RECORD}' to keep the answer in; decorate a field with @state()`;
  if (spec.stream) return 'it is a stream';
  if (spec.readOnly) return 'it is read-only, and may be repeated as it is';
  if (spec.interleave || type.reentrant !== false)
    return 'it may run beside others, which would see, and save, half of what it changes';
  return undefined;
}

function answerOf(known: KeptAnswer, { target: grain, method }: Call, digest: Uint8Array): Uint8Array {
  if (known.method === method && Buffer.compare(known.digest, digest) === 0) return known.answer;
  const other = known.method === method ? 'with other arguments' : `of ${known.method}`;
  throw new IdempotencyKeyReusedError(
    `${grain}.${method}: the idempotency key '${known.key}' belongs to a call ${other}; ` +
      'give each thing that is to happen once a key of its own',
    { grain },
  );
}

function tooLarge({ target: grain, method }: Call, bytes: number): PayloadTooLargeError {
  const text =
    `${grain}.${method}: the answer has ${bytes} bytes, and one that is kept for an idempotency key may ` +
    `have ${LIMITS.keptAnswerBytes}; return less, such as where to read it`;
  return new PayloadTooLargeError(text, { grain });
}
