import { createServer } from 'node:net';

/**
 * A free TCP port on 127.0.0.1, below the range that the system gives to outgoing connections: nobody gets it
 * by chance while its server is down for a restart, and a client that reconnects to it cannot connect to
 * itself.
 */
export async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < 100; attempt++) {
    const port = 12_000 + Math.floor(Math.random() * 18_000);
    if (await isFree(port)) return port;
  }
  throw new Error('no free port between 12000 and 30000 in 100 attempts');
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}
