/** How long a process takes to come to its first line, when it does nothing else. */
const bootMs = performance.now();
const { answer } = await import('./session.ts');

await answer(async () => ({ importMs: bootMs, startMs: bootMs }));

export {};
