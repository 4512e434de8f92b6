import { cpus } from 'node:os';
import type { Bound, Row } from './measures.ts';
import type { Result } from './rounds.ts';

/** Whether a row is where its goal or its floor wants it to be; undefined where there is none. */
export function reached({ row, granary, ratio }: Result, bound: Bound | undefined): boolean | undefined {
  if (bound === undefined) return undefined;
  const holds = (value: number, limit: number | undefined) =>
    limit === undefined || (row.more ? value >= limit : value <= limit);
  return holds(granary, bound.value) && holds(ratio ?? Number.NaN, bound.ratio);
}

/** The results as lines of text for a terminal; also valid in Markdown, as a code block. */
export function table(results: readonly Result[], commit?: string): string {
  const head = ['', 'Granary', commit ?? 'baseline', '', 'ratio', 'min – max'];
  const lines = results.map((result) => [
    result.row.title,
    `${rounded(result.granary)} ${result.row.unit}`.trimEnd(),
    `${rounded(result.baseline)} ${result.row.unit}`.trimEnd(),
    commit === undefined ? result.against : '',
    rounded(result.ratio ?? Number.NaN),
    rangeText(result.ratios),
  ]);
  if (commit !== undefined) return columns([head, ...lines], LEFT);
  const bounded = lines.map((line, index) => {
    const result = results[index] as Result;
    const { goal, floor } = result.row;
    const onGoal = { true: 'reached', false: 'not yet', undefined: '' }[`${reached(result, goal)}`];
    const onFloor = { true: 'ok', false: 'MISSED', undefined: '' }[`${reached(result, floor)}`];
    return [...line, boundText(result.row, goal), onGoal, boundText(result.row, floor), onFloor];
  });
  return columns([[...head, 'goal', '', 'floor', ''], ...bounded], LEFT);
}

/** Columns of the table whose text begins at the left. */
const LEFT = [0, 3, 7, 9];

/** Cells one under the other, in columns as wide as their widest cell. */
export function columns(lines: readonly (readonly string[])[], left: readonly number[]): string {
  const widths = (lines[0] ?? []).map((_, column) =>
    Math.max(...lines.map((line) => line[column]?.length ?? 0)),
  );
  const padded = (cell: string, column: number) =>
    left.includes(column) ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0);
  return lines.map((line) => line.map(padded).join('  ').trimEnd()).join('\n');
}

/** Of nothing, and of nothing by nothing, there is none. */
function rangeText(ratios: readonly number[]): string {
  if (!ratios.some(Number.isFinite)) return '';
  return `${rounded(Math.min(...ratios))} – ${rounded(Math.max(...ratios))}`;
}

/** As a ratio, as the number itself, or both. */
function boundText({ more, unit }: Row, bound: Bound = {}): string {
  const sign = more ? '≥' : '≤';
  const texts = [
    bound.ratio === undefined ? '' : `${sign} ${bound.ratio}`,
    bound.value === undefined ? '' : `${sign} ${bound.value.toLocaleString('en')} ${unit}`.trimEnd(),
  ];
  return texts.filter((text) => text !== '').join(', ');
}

/** Where a table comes from: figures of two machines are not to be compared. */
export function machine(): string {
  return `Node ${process.version}, ${cpus().length} × ${cpus()[0]?.model ?? 'unknown processor'}`;
}

/** Three figures: what is beyond them is noise. */
export function rounded(value: number): string {
  if (!Number.isFinite(value)) return '–';
  if (value === 0) return '0';
  const digits = Math.max(0, 2 - Math.floor(Math.log10(Math.max(Math.abs(value), 1e-9))));
  const places = Math.min(digits, 4);
  const scale = value >= 1_000 ? 10 ** (Math.floor(Math.log10(value)) - 2) : 1;
  const figure = scale === 1 ? value : Math.round(value / scale) * scale;
  return figure.toLocaleString('en', {
    minimumFractionDigits: value >= 1_000 ? 0 : places,
    maximumFractionDigits: value >= 1_000 ? 0 : places,
  });
}
