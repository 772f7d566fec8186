/** Asks a node about the cluster. An ApiError ends the command with the node's text and nothing else. */
import type { ApiError, NodeInfo, ServiceInfo } from "../../admin/index.ts";
import { CommandFailure, EXIT_FAILED, EXIT_WRONG } from "../invocation.ts";
import { askNode } from "./admin-client.ts";
import type { Method } from "./http.ts";

const REFUSED = [404, 409, 422];

/** The node understood and said no; nothing has changed. */
export class RefusedByNode extends CommandFailure {
  constructor(
    readonly refusal: ApiError,
    message: string = refusal.error,
  ) {
    super(message, EXIT_FAILED);
  }
}

export class ClusterClient {
  readonly #socket: string;
  readonly #timeoutMs: number | undefined;

  /** @param timeoutMs undefined: as long as a command waits */
  constructor(socket: string, timeoutMs?: number) {
    this.#socket = socket;
    this.#timeoutMs = timeoutMs;
  }

  async services(): Promise<readonly ServiceInfo[]> {
    return (await this.ask("GET", "/v1/services")) as ServiceInfo[];
  }

  /** Throws RefusedByNode when there is none. */
  async service(name: string): Promise<ServiceInfo> {
    return (await this.ask("GET", servicePath(name))) as ServiceInfo;
  }

  async nodes(): Promise<readonly NodeInfo[]> {
    return (await this.ask("GET", "/v1/nodes")) as NodeInfo[];
  }

  /** Throws RefusedByNode, and CommandFailure for everything else that goes wrong. */
  async ask(method: Method, path: string, body?: unknown): Promise<unknown> {
    const answer = await askNode(this.#socket, method, path, {
      expected: REFUSED,
      body,
      ...(this.#timeoutMs !== undefined && { timeoutMs: this.#timeoutMs }),
    });
    if (!REFUSED.includes(answer.status)) return answer.body;
    const refusal = answer.body as Partial<ApiError> | null;
    if (typeof refusal?.error !== "string") {
      throw new CommandFailure(`the node refuses ${method} ${path}: status ${answer.status}`);
    }
    throw new RefusedByNode(refusal as ApiError);
  }
}

/** "/v1/services/my-web/update" */
export function servicePath(...steps: readonly string[]): string {
  return ["/v1/services", ...steps.map(encodeStep)].join("/");
}

export function nodePath(...steps: readonly string[]): string {
  return ["/v1/nodes", ...steps.map(encodeStep)].join("/");
}

/** Dots alone would be taken for a way up, however they are encoded. */
function encodeStep(name: string): string {
  if (/^\.{0,2}$/.test(name))
    throw new CommandFailure(`${JSON.stringify(name)} is not a valid name`, EXIT_WRONG);
  return encodeURIComponent(name);
}
