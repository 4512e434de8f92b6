import { LIMITS } from '../limits.ts';

/** What a silo says of the machine or the place that it runs on: `{ zone: 'a', gpu: true }`. */
export type Labels = Readonly<Record<string, string | number | boolean>>;

/** Why these can be no labels, in words; undefined when they can. */
export function labelsProblem(labels: unknown): string | undefined {
  if (typeof labels !== 'object' || labels === null || Array.isArray(labels)) return 'an object of labels';
  const entries = Object.entries(labels);
  if (entries.length > LIMITS.labels) return `an object of at most ${LIMITS.labels} labels`;
  const isShort = (text: string) => text.length > 0 && text.length <= LIMITS.nameChars;
  const isValue = (value: unknown) =>
    typeof value === 'boolean' ||
    (typeof value === 'number' && Number.isFinite(value)) ||
    (typeof value === 'string' && isShort(value));
  if (entries.every(([name, value]) => isShort(name) && isValue(value))) return undefined;
  return `names and texts of 1 to ${LIMITS.nameChars} characters, finite numbers, true and false`;
}

/** How many of the wanted labels a silo has, with just these values. */
export function countMatching(labels: Labels, wanted: Labels): number {
  return Object.entries(wanted).filter(([name, value]) => labels[name] === value).length;
}

export function hasAll(labels: Labels, required: Labels): boolean {
  return countMatching(labels, required) === Object.keys(required).length;
}

/** The same for the same labels, in whatever order they were given. */
export function labelsText(labels: Labels): string {
  return JSON.stringify(Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1)));
}
