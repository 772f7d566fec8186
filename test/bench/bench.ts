/** What every part of one bench run shares: options, child processes, ports, a directory for configuration files. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Options } from "./options.ts";
import { PortPool } from "./ports.ts";
import { Children } from "./process.ts";

export class Bench {
  readonly children = new Children();
  readonly ports = new PortPool();
  readonly directory = mkdtempSync(join(tmpdir(), "portmesh-bench-"));
  #filesMade = 0;

  constructor(readonly options: Options) {}

  /** A path in the bench's directory that was not handed out before. */
  path(name: string): string {
    return join(this.directory, `${++this.#filesMade}-${name}`);
  }

  async close(): Promise<void> {
    await this.children.stopAll();
    this.#removeFiles();
  }

  /** For an exit that cannot wait. */
  closeNow(): void {
    this.children.killAllNow();
    this.#removeFiles();
  }

  #removeFiles(): void {
    rmSync(this.directory, { recursive: true, force: true });
  }
}
