import { parseArgs } from 'node:util';
import { type Column, columnOf, directoryColumn } from './scale-measures.ts';

/**
 * What a cluster costs each of its silos, and how long it takes to know: `npm run scale`. Time is virtual,
 * so times and counts are the same on every machine; only how long the run takes is the machine's.
 *
 * `--silos 10,100` chooses other sizes. `--check` fails when the cost of a silo grows faster than it may.
 */
const { values } = parseArgs({
  options: { silos: { type: 'string', default: '10,100,1000' }, check: { type: 'boolean', default: false } },
});
const sizes = values.silos.split(',').map(Number);
if (!sizes.every((size) => Number.isInteger(size) && size >= 2 && size <= 2_000)) {
  throw new Error(`--silos ${values.silos}: give whole numbers from 2 to 2000, with commas between them`);
}

const started = process.cpuUsage();
const tell = (text: string) => {
  const { user, system } = process.cpuUsage(started);
  console.log(`${((user + system) / 1e6).toFixed(1).padStart(7)} s of processor time: ${text}`);
};

const columns: Column[] = [];
for (const size of sizes) columns.push({ ...(await columnOf(size, tell)), ...directoryColumn(size) });

const rows = Object.keys(columns[0] as Column);
console.log(`\n| silos | ${sizes.map((size) => size.toLocaleString('en')).join(' | ')} |`);
console.log(`|---|${sizes.map(() => '--:').join('|')}|`);
for (const row of rows) console.log(`| ${row} | ${columns.map((column) => column[row]?.text).join(' | ')} |`);

if (values.check) {
  const least = Math.min(...sizes);
  for (const row of rows) {
    const base = columns[sizes.indexOf(least)]?.[row];
    for (const [index, size] of sizes.entries()) {
      const cell = columns[index]?.[row];
      if (!cell?.ofASilo || !base) continue;
      const allowed = base.value * 1.2 * (Math.log(size) / Math.log(least));
      if (cell.value <= allowed) continue;
      console.error(`${row}: ${cell.text} at ${size} silos; the logarithm allows ${allowed.toFixed(1)}`);
      process.exitCode = 1;
    }
  }
}
