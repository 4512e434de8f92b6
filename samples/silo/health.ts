import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { Silo } from 'granary';

/**
 * Answers `GET /health`: 200 while the silo takes calls, 503 while it starts, stops, or has lost the cluster.
 * Port 0: not at all.
 */
export class Health {
  #silo: Silo | undefined;
  #state: 'starting' | 'up' | 'disconnected' | 'stopping' = 'starting';
  readonly #server: Server | undefined;

  private constructor(server: Server | undefined) {
    this.#server = server;
    server?.on('request', (request, response) => {
      const known = request.url === '/health';
      response.writeHead(known ? (this.#state === 'up' ? 200 : 503) : 404, {
        'content-type': 'application/json',
      });
      response.end(known ? `${JSON.stringify(this.#report())}\n` : undefined);
    });
  }

  /** Rejects when the port is taken. */
  static async listen(port: number): Promise<Health> {
    if (port === 0) return new Health(undefined);
    const server = createServer().listen(port);
    await once(server, 'listening');
    return new Health(server);
  }

  up(silo: Silo): void {
    this.#silo = silo;
    this.#state = 'up';
    silo.subscribe(
      (event) => {
        if (event.type !== 'connectionChanged' || this.#state === 'stopping') return;
        this.#state = event.connected ? 'up' : 'disconnected';
      },
      ['connectionChanged'],
    );
  }

  stopping(): void {
    this.#state = 'stopping';
  }

  close(): void {
    this.#server?.close();
    this.#server?.closeAllConnections();
  }

  #report(): object {
    const { name, silos, activations } = this.#silo ?? {};
    return { state: this.#state, silo: name, silos, activations };
  }
}
