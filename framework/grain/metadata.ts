import 'reflect-metadata';
import { InvalidConfigError } from '../errors.ts';
import type { ReminderRecord } from './check-reminders.ts';
import type { SubscriptionRecord } from './check-subscriptions.ts';
import type { GrainOptions, MethodOptions, StateOptions } from './options.ts';

/** What decorators have recorded of one class itself; what it inherits is recorded on its ancestors. */
export interface ClassRecord {
  grain?: GrainOptions;
  readonly methods: MemberRecord<MethodOptions>[];
  readonly fields: MemberRecord<StateOptions>[];
  readonly reminders: MemberRecord<ReminderRecord>[];
  readonly subscriptions: MemberRecord<SubscriptionRecord>[];
}

export interface MemberRecord<Options> {
  readonly member: string | symbol;
  readonly options: Options;
  readonly isStatic: boolean;
}

/**
 * What a decorator of the ECMAScript proposal is told of the class or member that it stands before. One
 * compiled by TypeScript's older rules (`experimentalDecorators`) is given target and name instead.
 */
export interface StandardContext {
  readonly name: string | symbol | undefined;
  readonly static?: boolean;
  readonly private?: boolean;
  readonly metadata: object | undefined;
}

const KEY = Symbol.for('granary:class');

// Compilers hand out a metadata object only if they find this symbol; no version of Node.js has it yet. The
// one from the registry is what esbuild takes when there is none.
const symbols = Symbol as { metadata?: symbol };
symbols.metadata ??= Symbol.for('Symbol.metadata');
const METADATA = symbols.metadata;

/** The record of a class that is decorated by the older rules, made when it is first asked for. */
export function recordOf(target: object): ClassRecord {
  let record = Reflect.getOwnMetadata(KEY, target) as ClassRecord | undefined;
  if (!record) {
    record = emptyRecord();
    Reflect.defineMetadata(KEY, record, target);
  }
  return record;
}

/** The record of a class that is decorated by the standard's rules: kept in the class's own metadata. */
export function recordIn(decorator: string, { metadata }: StandardContext): ClassRecord {
  if (typeof metadata !== 'object' || metadata === null) {
    throw new InvalidConfigError(
      `${decorator}: the compiler passes no decorator metadata; ` +
        'use TypeScript 5.2 or newer, esbuild 0.21 or newer, or "experimentalDecorators": true',
    );
  }
  const own = metadata as { [KEY]?: ClassRecord };
  if (!Object.hasOwn(own, KEY)) Object.defineProperty(own, KEY, { value: emptyRecord() });
  return own[KEY] as ClassRecord;
}

/** Records of a class and its ancestors, the oldest first. */
export function recordsAlong(target: object): ClassRecord[] {
  const records: ClassRecord[] = [];
  for (let type: object | null = target; type !== null; type = Object.getPrototypeOf(type)) {
    const record = ownRecord(type);
    if (record) records.unshift(record);
  }
  return records;
}

function ownRecord(type: object): ClassRecord | undefined {
  const older = Reflect.getOwnMetadata(KEY, type) as ClassRecord | undefined;
  if (older) return older;
  const metadata = Object.getOwnPropertyDescriptor(type, METADATA)?.value as object | undefined;
  return metadata && (Object.getOwnPropertyDescriptor(metadata, KEY)?.value as ClassRecord | undefined);
}

function emptyRecord(): ClassRecord {
  return { methods: [], fields: [], reminders: [], subscriptions: [] };
}
