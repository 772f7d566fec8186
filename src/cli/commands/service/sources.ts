/** Which flag said what, so that a refusal can name it: `--publish 8080:80: port 8080/tcp is published by …`. */

import type { ApiError } from "../../../admin/index.ts";
import { formatPort, type PortSpec } from "../../../model/index.ts";

export class FlagSources {
  readonly #ports = new Map<string, string>();
  readonly #tasks = new Map<string, string>();

  addPort(port: Pick<PortSpec, "protocol" | "published">, flag: string): void {
    this.#ports.set(formatPort(port), flag);
  }

  addTask(name: string, flag: string): void {
    this.#tasks.set(name, flag);
  }

  /** The refusal in one line, with the flag it is about where there is one. */
  explain({ error, about }: ApiError): string {
    if (about === undefined || "name" in about) return error;
    const flag = "port" in about ? this.#ports.get(formatPort(about.port)) : this.#tasks.get(about.task);
    return flag === undefined ? error : `${flag}: ${error}`;
  }
}
