/**
 * The compiled executable as a child process, in a directory of its own and with an empty environment: what a user has
 * who has downloaded it.
 */
import { fstatSync, mkdtempSync, openSync, readSync, rmSync, unlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import type { NodeStatus, ReloadReport } from "../../../src/node/index.ts";
import { waitFor } from "../time/wait-for.ts";

export const EXECUTABLE = resolve("dist/portmesh");

export interface CommandResult {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs one portmesh command to its end. */
export async function portmesh(...args: string[]): Promise<CommandResult> {
  const child = Bun.spawn([EXECUTABLE, ...args], { env: {}, cwd: tmpdir(), stdin: "ignore", stderr: "pipe" });
  const [stdout, stderr, exitCode] = await Promise.all([
    child.stdout.text(),
    child.stderr.text(),
    child.exited,
  ]);
  return { exitCode, stdout, stderr };
}

export class NodeProcess {
  readonly file: string;
  readonly socket: string;

  private constructor(
    readonly directory: string,
    readonly child: Bun.Subprocess,
    readonly ownsDirectory: boolean,
    /** A file that has no name any more. */
    readonly logFd: number,
  ) {
    this.file = join(directory, "portmesh.toml");
    this.socket = join(directory, "portmesh.sock");
  }

  /** @param services the file without its [admin] section */
  static async start(services: string, wrapper: readonly string[] = []): Promise<NodeProcess> {
    const node = NodeProcess.#spawn(mkdtempSync(join(tmpdir(), "portmesh-test-")), services, wrapper, true);
    await node.serves();
    return node;
  }

  /** In a directory that stays when the process ends. Does not wait until it serves. */
  static startIn(
    directory: string,
    services: string,
    wrapper: readonly string[] = [],
    env: Readonly<Record<string, string>> = {},
    fds: readonly number[] = [],
  ): NodeProcess {
    return NodeProcess.#spawn(directory, services, wrapper, false, env, fds);
  }

  static #spawn(
    directory: string,
    services: string,
    wrapper: readonly string[],
    ownsDirectory: boolean,
    env: Readonly<Record<string, string>> = {},
    fds: readonly number[] = [],
  ): NodeProcess {
    writeFileSync(join(directory, "portmesh.toml"), complete(directory, services));
    const logFd = openLog(directory);
    const child = Bun.spawn([...wrapper, EXECUTABLE, "run", "-c", join(directory, "portmesh.toml")], {
      env: { ...env },
      cwd: directory,
      stdio: ["ignore", logFd, logFd, ...fds],
    });
    return new NodeProcess(directory, child, ownsDirectory, logFd);
  }

  async serves(): Promise<void> {
    await waitFor(() => this.#isServing(), { what: "the node to serve" });
  }

  /** Everything that it and the processes after it have written by now. */
  get log(): string {
    const bytes = Buffer.alloc(fstatSync(this.logFd).size);
    return bytes.toString("utf8", 0, readSync(this.logFd, bytes, 0, bytes.length, 0));
  }

  /** Replaces the file, as an editor does; does not reload. */
  write(services: string): void {
    writeFileSync(this.file, complete(this.directory, services));
  }

  /** By the admin API: a command would start so late on a busy machine that the watch has been quicker. */
  async reload(services: string): Promise<ReloadReport> {
    this.write(services);
    const response = await fetch("http://portmesh/v1/reload", { unix: this.socket, method: "POST" });
    return (await response.json()) as ReloadReport;
  }

  async status(): Promise<NodeStatus> {
    const response = await fetch("http://portmesh/v1/status", { unix: this.socket });
    return (await response.json()) as NodeStatus;
  }

  /** SIGTERM; resolves with the exit code. */
  async stop(): Promise<number> {
    this.child.kill("SIGTERM");
    const exitCode = await this.child.exited;
    this.#removeDirectory();
    return exitCode;
  }

  async kill(): Promise<void> {
    this.child.kill("SIGKILL");
    await this.child.exited;
    this.#removeDirectory();
  }

  #removeDirectory(): void {
    if (this.ownsDirectory) rmSync(this.directory, { recursive: true, force: true });
  }

  async #isServing(): Promise<boolean> {
    if (this.child.exitCode !== null)
      throw new Error(`the node ended with ${this.child.exitCode}: ${this.log}`);
    try {
      return (await this.status()).state === "serving";
    } catch {
      return false;
    }
  }
}

/** A pipe would be read some time after what is logged has been seen in another way. */
function openLog(directory: string): number {
  const path = join(directory, `log-${crypto.randomUUID()}`);
  const fd = openSync(path, "a+");
  unlinkSync(path);
  return fd;
}

/** With what must be this node's own: its socket and where it keeps its state. */
function complete(directory: string, services: string): string {
  const admin = `[admin]\nsocket = "${join(directory, "portmesh.sock")}"`;
  const hasAdmin = /^\[admin\]$/m.test(services);
  const text = hasAdmin ? services.replace(/^\[admin\]$/m, () => admin) : services;
  const head = hasAdmin ? "" : `${admin}\n`;
  if (/^data_dir\b/m.test(text)) return head + text;
  const dataDir = `[node]\ndata_dir = "${join(directory, "data")}"\n`;
  return /^\[node\]$/m.test(text)
    ? head + text.replace(/^\[node\]$/m, () => dataDir.trimEnd())
    : head + dataDir + text;
}
