import { PayloadTooLargeError } from '../errors.ts';
import { LIMITS } from '../limits.ts';
import { copy, isInline } from '../serialization/codec.ts';
import type { Call } from './call.ts';

/**
 * Whether all arguments travel as they are, in their frame. Refuses texts that are too large together: they
 * are packed with their frame only. A text has at most three times as many bytes as characters.
 */
export function areInline(call: Call, args: readonly unknown[]): boolean {
  let characters = 0;
  for (let i = 0; i < args.length; i++) {
    const arg = args[i];
    if (!isInline(arg)) return false;
    if (typeof arg === 'string') characters += arg.length;
  }
  if (characters * 3 > LIMITS.callBytes) checkSize(call, { length: textBytes(args) });
  return true;
}

function textBytes(args: readonly unknown[]): number {
  return args.reduce<number>((sum, arg) => sum + Buffer.byteLength(String(arg)), 0);
}

export function checkSize(call: Call, bytes: { readonly length: number }): void {
  if (bytes.length <= LIMITS.callBytes) return;
  throw new PayloadTooLargeError(
    `${call.target}.${call.method}: the arguments have ${bytes.length} bytes, ` +
      `the limit is ${LIMITS.callBytes}; ` +
      'keep large values in a store, or send them in pieces',
    { grain: call.target },
  );
}

/** Copies arguments that are sent later: their caller may change them meanwhile. */
export function takeArguments(
  args: readonly unknown[],
  reject: (error: unknown) => void,
): readonly unknown[] | undefined {
  try {
    return args.map((arg, index) => copy(arg, `args[${index}]`));
  } catch (error) {
    reject(error);
    return undefined;
  }
}
