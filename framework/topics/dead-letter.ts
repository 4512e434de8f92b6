import type { GrainId } from '../identity/grain-id.ts';

/** An event that a grain could not handle, as it lies in the topic `<topic>.dead`. */
export interface DeadLetter {
  readonly topic: string;
  readonly key: string;
  readonly seq: number;
  readonly publishedAt: number;
  /** The grain that could not handle it. */
  readonly subscriber: GrainId;
  readonly attempts: number;
  /** The last error. */
  readonly error: DeadLetterError;
  /** Undefined when the log does not take it beside the error. */
  readonly event: unknown;
}

export interface DeadLetterError {
  readonly name: string;
  readonly message: string;
  readonly code?: string;
  readonly stack?: string;
}

/** A letter must fit into the log beside its event. */
const NAME_CHARS = 200;
const MESSAGE_CHARS = 2_000;
const STACK_CHARS = 4_000;

/** An error as text: the error itself may hold anything. */
export function errorFields(error: unknown): DeadLetterError {
  if (!(error instanceof Error)) return { name: 'Error', message: String(error).slice(0, MESSAGE_CHARS) };
  const { name, message, stack } = error;
  const { code } = error as { code?: unknown };
  return {
    name: String(name).slice(0, NAME_CHARS),
    message: message.slice(0, MESSAGE_CHARS),
    ...(typeof code === 'string' && { code: code.slice(0, NAME_CHARS) }),
    ...(stack !== undefined && { stack: stack.slice(0, STACK_CHARS) }),
  };
}
