import { GranaryError } from '../errors.ts';
import type { GrainId } from '../identity/grain-id.ts';

/** Says which grain a failure happened to, when what failed knew nothing of grains. */
export function aboutGrain(error: unknown, grain: GrainId): unknown {
  if (error instanceof GranaryError && error.grain === undefined) Object.assign(error, { grain });
  return error;
}
