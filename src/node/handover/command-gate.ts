/**
 * Commands around a handover: they wait while it is under way, and then go to the process that serves. When that has its
 * admin socket elsewhere, as in another container, this process still answers questions about itself.
 */
import type { AdminServer } from "../../admin/index.ts";
import type { HandoverPart } from "./handover-part.ts";

type Handle = (request: Request) => Response | Promise<Response>;

/** What a request says about its answer, and the answer about itself. */
const ASKED = ["accept", "accept-encoding"];
const ANSWERED = ["content-type", "content-encoding", "vary"];

export class CommandGate implements HandoverPart {
  readonly key = "commands";
  readonly #handle: Handle;
  #held: PromiseWithResolvers<void> | null = null;
  /** The successor's admin socket. */
  #successor: string | null = null;
  #isOver = false;
  /** Commands without an answer. */
  #open = 0;
  #onAnswered: (() => void) | null = null;

  /** @param server whose socket the successor takes */
  constructor(
    handle: Handle,
    readonly server: () => Pick<AdminServer, "path" | "restore" | "isInPlace">,
  ) {
    this.#handle = handle;
  }

  /** The socket's file is the successor's. */
  get hasLeft(): boolean {
    return this.#successor !== null;
  }

  readonly handle: Handle = async (request) => {
    this.#open++;
    try {
      await this.#held?.promise;
      if (this.#successor !== null) return await forward(request, this.#successor);
      return await (this.#isOver && request.method !== "GET" ? refuse() : this.#handle(request));
    } finally {
      if (--this.#open === 0) this.#onAnswered?.();
    }
  };

  /** After `leave`: resolves when every command has its answer. */
  async answered(): Promise<void> {
    if (this.#open === 0) return;
    await new Promise<void>((resolve) => {
      this.#onAnswered = resolve;
    });
  }

  async freeze(): Promise<null> {
    this.#held = Promise.withResolvers();
    return null;
  }

  async thaw(): Promise<void> {
    await this.server().restore();
    this.#release();
  }

  async leave(): Promise<void> {
    const server = this.server();
    this.#successor = server.isInPlace ? null : server.path;
    this.#isOver = true;
    this.#release();
  }

  #release(): void {
    this.#held?.resolve();
    this.#held = null;
  }
}

async function forward(request: Request, socketPath: string): Promise<Response> {
  if (new URL(request.url).pathname === "/v1/events/stream") return refuse(); // it has no end
  const { Client } = await import("undici/index.js");
  const { pathname, search } = new URL(request.url);
  const client = new Client("http://portmesh", { socketPath, headersTimeout: 0, bodyTimeout: 0 });
  try {
    const body = request.method === "GET" ? null : Buffer.from(await request.arrayBuffer());
    const method = request.method as "GET" | "POST" | "DELETE";
    const headers = {
      "content-type": "application/json",
      ...pick(ASKED, (name) => request.headers.get(name)),
    };
    const answer = await client.request({ method, path: pathname + search, body, headers });
    const bytes = await answer.body.arrayBuffer();
    const answered = pick(ANSWERED, (name) => answer.headers[name]);
    // the next one on this connection would find the process gone
    return new Response(bytes, { status: answer.statusCode, headers: { ...answered, connection: "close" } });
  } catch {
    return refuse();
  } finally {
    await client.destroy();
  }
}

function refuse(): Response {
  const error = "another process runs this node now: ask again";
  return Response.json({ error }, { status: 503, headers: { connection: "close" } });
}

/** Those of the headers that have a value. */
function pick(names: readonly string[], find: (name: string) => unknown): Record<string, string> {
  const entries = names.map((name) => [name, find(name)] as const);
  return Object.fromEntries(
    entries.filter((entry): entry is [string, string] => typeof entry[1] === "string"),
  );
}
