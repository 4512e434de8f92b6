import { MethodNotFoundError } from '../errors.ts';
import type { GrainType, MethodSpec } from '../grain/grain-type.ts';
import type { Call } from '../rpc/call.ts';
import { waitingInChain } from './deadlock.ts';
import type { Mode } from './mailbox.ts';

/** The activation that a call has come to: its class, and the calls that run, which cost a look. */
interface Host {
  readonly type: GrainType;
  readonly running: readonly Call[];
}

/** How a call may run beside others, and beside those that run now. */
export function modeOf(call: Call, spec: MethodSpec, host: Host): Mode {
  const { reentrant } = host.type;
  if (reentrant === true || spec.interleave) return 'interleave';
  if (reentrant === 'callChain' && waitingInChain(call, host.running)) return 'interleave';
  // A writer that waits would hold it up, and itself waits for the reader that this call belongs to.
  if (spec.readOnly && waitingInChain(call, host.running)?.mode === 'readOnly') return 'interleave';
  return spec.readOnly ? 'readOnly' : 'exclusive';
}

/** `stream`: what the method of that name is, if there is one. */
export function noSuchMethod(call: Call, type: GrainType, stream: boolean | undefined): MethodNotFoundError {
  const where = `${call.target}.${call.method}`;
  const text =
    stream === undefined
      ? `${where}: ${type.Class.name} has no method of that name with @method()`
      : stream
        ? `${where} is a stream: read it with \`for await\``
        : `${where} is no stream: await it`;
  return new MethodNotFoundError(text.slice(0, 400), { grain: call.target });
}
