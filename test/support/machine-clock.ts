/**
 * Milliseconds on the clock that all processes of this machine share, and that nobody sets: what one process
 * records can be compared with what another does, and with what a test saw.
 */
export function machineNow(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
