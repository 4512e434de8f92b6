/** For the image's health check: exit code 0 when the silo in this container takes calls. */
const port = Number(process.env.GRANARY_HEALTH_PORT || 8_080);
if (port > 0) {
  const { ok } = await fetch(`http://127.0.0.1:${port}/health`).catch(() => ({ ok: false }));
  process.exitCode = ok ? 0 : 1;
}
