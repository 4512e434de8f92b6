import { cpus } from 'node:os';
import type { Result } from './rounds.ts';

/** Whether a row is where this project promises it to be; undefined where nothing is promised. */
export function reached({ row, ratio }: Result): boolean | undefined {
  if (row.floor === undefined) return undefined;
  return row.more ? ratio >= row.floor : ratio <= row.floor;
}

/** The results as lines of text for a terminal; also valid in Markdown, as a code block. */
export function table(results: readonly Result[], granary: string, baseline: string | undefined): string {
  const head = ['', granary, baseline ?? 'baseline', '', 'ratio', 'min – max', 'floor', ''];
  const lines = results.map((result) => {
    const { row, ratios } = result;
    const bound = row.floor === undefined ? '' : `${row.more ? '≥' : '≤'} ${row.floor}`;
    const verdict = { true: 'ok', false: 'MISSED', undefined: '' }[`${reached(result)}`];
    return [
      row.title,
      `${rounded(result.granary)} ${row.unit}`,
      `${rounded(result.baseline)} ${row.unit}`,
      baseline === undefined ? result.against : '',
      rounded(result.ratio),
      `${rounded(Math.min(...ratios))} – ${rounded(Math.max(...ratios))}`,
      baseline === undefined ? bound : '',
      baseline === undefined ? verdict : '',
    ].map(String);
  });
  const all = [head, ...lines];
  const widths = head.map((_, column) => Math.max(...all.map((line) => line[column]?.length ?? 0)));
  const text = (line: readonly string[]) =>
    line
      .map((cell, column) =>
        column === 0 || column === 3 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0),
      )
      .join('  ')
      .trimEnd();
  return [text(head), ...lines.map(text)].join('\n');
}

/** Where a table comes from: figures of two machines are not to be compared. */
export function machine(): string {
  return `Node ${process.version}, ${cpus().length} × ${cpus()[0]?.model ?? 'unknown processor'}`;
}

/** Three figures: what is beyond them is noise. */
function rounded(value: number): string {
  const digits = Math.max(0, 2 - Math.floor(Math.log10(Math.max(Math.abs(value), 1e-9))));
  const places = Math.min(digits, 4);
  const scale = value >= 1_000 ? 10 ** (Math.floor(Math.log10(value)) - 2) : 1;
  const figure = scale === 1 ? value : Math.round(value / scale) * scale;
  return figure.toLocaleString('en', {
    minimumFractionDigits: value >= 1_000 ? 0 : places,
    maximumFractionDigits: value >= 1_000 ? 0 : places,
  });
}
