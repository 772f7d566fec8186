/**
 * A container without an engine: the compiled executable as process 1 of mount and PID namespaces of its own, with a
 * private /run, in the network of the test. `volume` is mounted where the test says.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { NodeStatus } from "../../../src/node/index.ts";
import { EXECUTABLE } from "../node/node-process.ts";
import { findProgram } from "../os/require-program.ts";
import { waitFor } from "../time/wait-for.ts";

export interface BareContainerOptions {
  readonly name: string;
  /** For its files. */
  readonly directory: string;
  /** Shared by the containers of a node. */
  readonly volume: string;
  /** Below /run. */
  readonly mountPoint: string;
  readonly file: string;
  /** After `run -c FILE`. */
  readonly args?: readonly string[];
}

const SETUP = 'mount -t tmpfs none /run && mkdir -p "$1" && mount --bind "$2" "$1" && shift 2 && exec "$@"';

export class BareContainer {
  readonly #output: string[] = [];

  private constructor(readonly child: Bun.Subprocess<"ignore", "pipe", "pipe">) {
    void this.#collect(child.stdout);
    void this.#collect(child.stderr);
  }

  static start({
    name,
    directory,
    volume,
    mountPoint,
    file,
    args = [],
  }: BareContainerOptions): BareContainer {
    const path = join(directory, `${name}.toml`);
    writeFileSync(path, file);
    const namespaces = ["--mount", "--pid", "--fork", "--kill-child", "--mount-proc"];
    const command = [EXECUTABLE, "run", "-c", path, ...args];
    const child = Bun.spawn(
      [findProgram("unshare")!, ...namespaces, "sh", "-c", SETUP, "sh", mountPoint, volume, ...command],
      { env: { PATH: process.env.PATH }, stdio: ["ignore", "pipe", "pipe"] },
    );
    return new BareContainer(child);
  }

  get log(): string {
    return this.#output.join("");
  }

  /** Of process 1, outside. */
  get pid(): number {
    const { pid } = this.child;
    return Number(readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim());
  }

  /** Its own admin socket, seen from outside. */
  get socket(): string {
    return `/proc/${this.pid}/root/run/portmesh/portmesh.sock`;
  }

  async status(): Promise<NodeStatus> {
    const response = await fetch("http://portmesh/v1/status", { unix: this.socket });
    return (await response.json()) as NodeStatus;
  }

  async serves(): Promise<void> {
    const isServing = async () => {
      if (this.child.exitCode !== null) throw new Error(`it has ended: ${this.log}`);
      return (await this.status().catch(() => null))?.state === "serving";
    };
    await waitFor(isServing, { what: "the container to serve", deadlineMs: 30_000 });
  }

  async kill(): Promise<void> {
    this.child.kill("SIGKILL"); // the kernel ends the rest
    await this.child.exited;
  }

  async #collect(stream: ReadableStream<Uint8Array>): Promise<void> {
    const decoder = new TextDecoder();
    for await (const chunk of stream) this.#output.push(decoder.decode(chunk, { stream: true }));
  }
}
