import { InvalidArgumentsError, InvalidConfigError } from '../errors.ts';
import { type ArgumentsSchema, validateArguments } from '../grain/arguments-schema.ts';
import type { Caller } from '../grain/reference.ts';
import type { Validated } from '../grain/standard-schema.ts';
import { LIMITS } from '../limits.ts';
import type { Call } from '../rpc/call.ts';
import { unpack } from '../serialization/codec.ts';

/** Issues that an error's message tells; its field has all of them. */
const ISSUES_TOLD = 3;

/** A call's arguments as values; `binder` is who the references in packed ones are bound to. */
export function argumentsOf(call: Call, binder: Caller): readonly unknown[] {
  return call.args instanceof Uint8Array ? (unpack(call.args, binder) as unknown[]) : call.args;
}

/**
 * Asks the schemas about a call that has come, before it waits for its turn. Returns why it is refused;
 * otherwise `call.checked` has what the method is to be called with.
 *
 * The arguments themselves stay as they came: should the call go on to another activation, they are checked
 * there again, and what a schema has made of a value need not be a value that it takes. A schema that takes
 * its time must not let later calls overtake this one, so the call goes to the mailbox meanwhile, and its
 * turn begins with waiting for the schema.
 */
export function checkArguments(call: Call, schema: ArgumentsSchema, binder: Caller): unknown {
  try {
    const result = validateArguments(schema, argumentsOf(call, binder));
    if (result instanceof Promise) {
      call.checked = result.then((late) => taken(call, late));
      call.checked.catch(() => {}); // for a call that never gets its turn
    } else {
      call.checked = taken(call, result);
    }
    return undefined;
  } catch (error) {
    return error ?? new TypeError(`${call.target}.${call.method}: a schema of its arguments threw nothing`);
  }
}

function taken(call: Call, { issues, ...result }: Validated<readonly unknown[]>): readonly unknown[] {
  const { target: grain, method } = call;
  if (issues) {
    const told = issues.slice(0, ISSUES_TOLD).map(({ path, message }) => `${path}: ${message}`);
    const more = issues.length > ISSUES_TOLD ? `; and ${issues.length - ISSUES_TOLD} more` : '';
    const text = `${grain}.${method} refuses its arguments: ${told.join('; ')}${more}`;
    throw new InvalidArgumentsError(text.slice(0, 1_000), {
      ...{ grain, method },
      issues: issues.slice(0, LIMITS.schemaIssues),
    });
  }
  const { value } = result as { value: unknown };
  if (Array.isArray(value)) return value;
  const text = `${grain}.${method}: the schema in args gives no list; the method's arguments are one`;
  throw new InvalidConfigError(text, { grain });
}
