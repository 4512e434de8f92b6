import {
  GranaryError,
  InvalidArgumentsError,
  InvalidKeyError,
  MethodNotFoundError,
  PayloadTooLargeError,
} from '../errors.ts';
import type { GrainType } from '../grain/grain-type.ts';
import { canonicalKey, grainIdOf, keyParts } from '../identity/grain-id.ts';
import type { RootCaller } from '../rpc/root-caller.ts';
import type { PlainCall } from '../transport/transport.ts';

/**
 * The door for clients that know nothing of Granary: a JSON array of arguments in, `{"ok": result}` or
 * `{"error": {code, message}}` out. Any silo answers, and passes the call on to where the grain is.
 */
export function answerPlainCall(
  call: PlainCall,
  root: RootCaller,
  types: ReadonlyMap<string, GrainType>,
  maxBytes: number,
): void {
  run(call, root, types)
    .then((result) => encode({ ok: result ?? null }, maxBytes))
    .catch((error) => encode({ error: describe(error) }, maxBytes))
    .catch((error) => encode({ error: describe(error) }, maxBytes)) // what was thrown may be too large itself
    .then((answer) => call.respond(answer));
}

async function run(
  call: PlainCall,
  root: RootCaller,
  types: ReadonlyMap<string, GrainType>,
): Promise<unknown> {
  const [type, key, method] = call.tokens;
  if (call.tokens.length !== 3 || type === undefined || key === undefined || method === undefined) {
    throw new InvalidKeyError(
      'the subject is granary.<cluster>.call.<Type>.<key>.<method>; percent-encode dots in the key (%2E)',
    );
  }
  const name = decode(type);
  const target = grainIdOf(name, canonicalKey(name, keyParts(key)));
  if (decode(method).startsWith('$'))
    throw new MethodNotFoundError(`${target}.${method}: such a name is the runtime's own`, { grain: target });
  const spec = types.get(name)?.methods.get(decode(method));
  if (spec?.stream)
    throw new TypeError(`${target}.${method} is a stream, which the plain door does not offer`);
  const args = parseArguments(call.payload);
  const result = await root.invoke({ target, method: decode(method), spec, args, options: undefined });
  return JSON.parse(JSON.stringify(result ?? null, plain));
}

function parseArguments(payload: Uint8Array): unknown[] {
  const text = Buffer.from(payload).toString();
  if (text.trim() === '') return [];
  let args: unknown;
  try {
    args = JSON.parse(text);
  } catch (cause) {
    throw new TypeError('the payload is not JSON; send an array of arguments, as in [1, "two"]', { cause });
  }
  if (!Array.isArray(args))
    throw new TypeError('the payload is not an array; send the arguments as in [1, "two"]');
  return args;
}

function decode(token: string): string {
  try {
    return decodeURIComponent(token);
  } catch {
    throw new InvalidKeyError(`'${token}' has a malformed percent escape`);
  }
}

/** What JSON cannot say, as plainly as it can. */
function plain(_name: string, value: unknown): unknown {
  if (typeof value === 'bigint') return value.toString();
  if (value instanceof Map) return Object.fromEntries(value);
  if (value instanceof Set) return [...value];
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64');
  return value;
}

function describe(error: unknown): Record<string, unknown> {
  if (error instanceof GranaryError) {
    const { code, message, retryable, grain } = error;
    const issues = error instanceof InvalidArgumentsError && { issues: error.issues };
    return { code, message, retryable, ...(grain !== undefined && { grain }), ...issues };
  }
  const { name = 'Error', message = String(error) } = error instanceof Error ? error : {};
  return { code: 'ERROR', name, message };
}

/** One message is all there is: a plain client puts no parts together. */
function encode(answer: unknown, maxBytes: number): Uint8Array {
  const bytes = Buffer.from(JSON.stringify(answer));
  if (bytes.length <= maxBytes) return bytes;
  throw new PayloadTooLargeError(
    `the answer has ${bytes.length} bytes, one message takes ${maxBytes}; ask for less at a time`,
  );
}
