import { answer } from './session.ts';

/** How long `import 'granary'` takes in a new process, and then a silo of its own up to its first answer. */
const begin = performance.now();
const { Silo } = await import('granary');
const imported = performance.now();
const { Counter } = await import('./grains.ts');
const start = performance.now();
const silo = await Silo.start({ grains: [Counter] });
await silo.grain(Counter, 'first').increment(1);
const answered = performance.now();

await answer(async () => ({ importMs: imported - begin, startMs: answered - start }));
