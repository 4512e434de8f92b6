import { afterAll } from 'vitest';
import { stopPrograms } from './processes.ts';

// Registered before any hook of the test file, so it runs after them: what a failed test left behind ends
// with its file.
afterAll(() => stopPrograms());
