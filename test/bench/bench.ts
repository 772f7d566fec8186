/** What every part of one bench run shares: options, child processes, ports, a directory for configuration files. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Options } from "./options.ts";
import { PortPool } from "./ports.ts";
import { Children } from "./process.ts";

/** Something outside the bench's processes and files; close() works at once, and a second time does nothing. */
export interface Closable {
  close(): void;
}

export class Bench {
  readonly children = new Children();
  readonly ports = new PortPool();
  readonly directory = mkdtempSync(join(tmpdir(), "portmesh-bench-"));
  #filesMade = 0;
  readonly #closables: Closable[] = [];

  constructor(readonly options: Options) {}

  /** A path in the bench's directory that was not handed out before. */
  path(name: string): string {
    return join(this.directory, `${++this.#filesMade}-${name}`);
  }

  /** Closes it at the latest when the bench ends. */
  own<T extends Closable>(closable: T): T {
    this.#closables.push(closable);
    return closable;
  }

  async close(): Promise<void> {
    await this.children.stopAll();
    this.#closeOwned();
    this.#removeFiles();
  }

  /** For an exit that cannot wait. */
  closeNow(): void {
    this.children.killAllNow();
    this.#closeOwned();
    this.#removeFiles();
  }

  #closeOwned(): void {
    for (const closable of this.#closables) closable.close();
  }

  #removeFiles(): void {
    rmSync(this.directory, { recursive: true, force: true });
  }
}
