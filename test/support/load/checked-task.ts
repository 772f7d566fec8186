/** An HTTP task in the test's own process whose health the test decides: /healthz, and its name everywhere else. */
import type { HttpTask } from "./http-task.ts";

export interface Answer {
  readonly status: number;
  readonly body?: string;
}

export class CheckedTask implements HttpTask {
  /** null: it accepts the request and says nothing. */
  answer: Answer | null = { status: 200, body: "ok" };
  /** Query strings of the probes that have come. */
  readonly queries: string[] = [];
  #server: ReturnType<typeof Bun.serve> | null;
  readonly port: number;

  constructor(
    readonly name: string,
    readonly hostname = "127.0.0.1",
  ) {
    this.#server = this.#serve(0);
    this.port = this.#server.port!;
  }

  get probes(): number {
    return this.queries.length;
  }

  get address(): string {
    return `${this.hostname}:${this.port}`;
  }

  start(): void {
    this.#server ??= this.#serve(this.port);
  }

  async stop(): Promise<void> {
    const server = this.#server;
    this.#server = null;
    await server?.stop(true);
  }

  #serve(port: number): ReturnType<typeof Bun.serve> {
    return Bun.serve({
      hostname: this.hostname,
      port,
      idleTimeout: 0,
      fetch: (request) => {
        const headers = { connection: "close" };
        const { pathname, search } = new URL(request.url);
        if (pathname !== "/healthz") return new Response(this.name, { headers });
        this.queries.push(search);
        const { answer } = this;
        if (answer === null) return new Promise<Response>(() => undefined);
        return new Response(answer.body ?? "", { status: answer.status, headers });
      },
    });
  }
}
