import 'reflect-metadata';
import type { GrainOptions, MethodOptions, StateOptions } from './options.ts';

/** What decorators have recorded of one class itself; what it inherits is recorded on its ancestors. */
export interface ClassRecord {
  grain?: GrainOptions;
  readonly methods: MemberRecord<MethodOptions>[];
  readonly fields: MemberRecord<StateOptions>[];
}

export interface MemberRecord<Options> {
  readonly member: string | symbol;
  readonly options: Options;
  readonly isStatic: boolean;
}

const KEY = Symbol.for('granary:class');

/** The record of this very class, made when it is first asked for. */
export function recordOf(target: object): ClassRecord {
  let record = Reflect.getOwnMetadata(KEY, target) as ClassRecord | undefined;
  if (!record) {
    record = { methods: [], fields: [] };
    Reflect.defineMetadata(KEY, record, target);
  }
  return record;
}

/** Records of a class and its ancestors, the oldest first. */
export function recordsAlong(target: object): ClassRecord[] {
  const records: ClassRecord[] = [];
  for (let type: object | null = target; type !== null; type = Object.getPrototypeOf(type)) {
    const record = Reflect.getOwnMetadata(KEY, type) as ClassRecord | undefined;
    if (record) records.unshift(record);
  }
  return records;
}
