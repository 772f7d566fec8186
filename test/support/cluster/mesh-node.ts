/**
 * One node of a mesh under test: the compiled executable with a file and a data directory that outlive the process, so
 * that it can be stopped, killed and started again.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { NodeStatus } from "../../../src/node/index.ts";
import { type CommandResult, NodeProcess, portmesh } from "../node/node-process.ts";
import { keepLog } from "../os/keep-log.ts";
import { waitFor } from "../time/wait-for.ts";

/** For a start that fails, on a busy machine too. */
const END_MS = 60_000;

/** Where a node runs. */
export interface MeshPlace {
  readonly name: string;
  readonly address: string;
  /** In front of the command, for example a network namespace. */
  readonly wrapper: readonly string[];
}

/** Of the whole cluster as one node sees it: `portmesh status --json`, `.cluster`. */
export interface ClusterView {
  readonly members: readonly MemberView[];
  /** Equal on two nodes when they agree about services and tasks. */
  readonly catalog: { readonly revision: string };
  readonly gossip: {
    readonly queueLengths: Readonly<Record<string, number>>;
    readonly droppedTotal: Readonly<Record<string, number>>;
  };
}

export interface MemberView {
  readonly name: string;
  /** Of its gossip: "192.0.2.1:7946". */
  readonly address: string;
  readonly state: "alive" | "suspect" | "failed" | "left";
  readonly isDraining: boolean;
}

export type MeshStatus = Omit<NodeStatus, "cluster"> & { readonly cluster: ClusterView };

/** As the admin API lists it under /v1/services. */
export interface ServiceInfo {
  readonly name: string;
  readonly tasks: readonly { readonly name: string; readonly node: string; readonly state: string }[];
}

export class MeshNode {
  readonly name: string;
  readonly address: string;
  /** Absolute; gone after remove(). */
  readonly directory: string;
  readonly socket: string;
  #process: NodeProcess | null = null;
  /** Of processes that have ended. */
  #pastLog = "";

  constructor(
    readonly place: MeshPlace,
    /** The file without its [admin] section. */
    public file: string,
  ) {
    this.name = place.name;
    this.address = place.address;
    this.directory = mkdtempSync(join(tmpdir(), `portmesh-test-${place.name}-`));
    this.socket = join(this.directory, "portmesh.sock");
  }

  get isRunning(): boolean {
    return this.#process !== null;
  }

  /** Everything that its processes wrote, the first one's first. */
  get log(): string {
    return this.#pastLog + (this.#process?.log ?? "");
  }

  get pid(): number {
    return this.#running.child.pid;
  }

  /** Starts it and waits until it serves its ports; whom it sees by then is another question. */
  async start(): Promise<void> {
    this.#process = NodeProcess.startIn(this.directory, this.file, this.place.wrapper);
    await this.#process.serves();
  }

  /** Starts it and gives the exit code and the log of a start that fails. */
  async failToStart(): Promise<{ readonly exitCode: number; readonly log: string }> {
    const child = (this.#process = NodeProcess.startIn(this.directory, this.file, this.place.wrapper));
    const exitCode = await Promise.race([child.child.exited, Bun.sleep(END_MS).then(() => null)]);
    const { log } = child;
    if (exitCode === null) throw new Error(`the node did not give up: ${log}`);
    this.#ended();
    return { exitCode, log };
  }

  /** SIGTERM: drains and leaves; resolves with the exit code. */
  async stop(): Promise<number> {
    const exitCode = await this.#running.stop();
    this.#ended();
    return exitCode;
  }

  /** kill -9 */
  async kill(): Promise<void> {
    if (this.#process === null) return;
    await this.#process.kill();
    this.#ended();
  }

  /** Resolves when every thread of the process has stopped. */
  async pause(): Promise<void> {
    process.kill(this.pid, "SIGSTOP");
    await waitFor(() => this.#threadStates().every((state) => state === "T"), { what: "the node to stop" });
  }

  resume(): void {
    process.kill(this.pid, "SIGCONT");
  }

  async status(): Promise<MeshStatus> {
    return (await this.#running.status()) as unknown as MeshStatus;
  }

  /** Every service of the cluster, by name. */
  async services(): Promise<readonly ServiceInfo[]> {
    const response = await fetch("http://portmesh/v1/services", { unix: this.socket });
    return (await response.json()) as readonly ServiceInfo[];
  }

  /** Writes a new file and has it loaded. */
  async reload(file: string): Promise<Awaited<ReturnType<NodeProcess["reload"]>>> {
    this.file = file;
    return this.#running.reload(file);
  }

  /** Runs a portmesh command against this node. */
  command(...args: string[]): Promise<CommandResult> {
    return portmesh(...args, "--socket", this.socket);
  }

  /** The same with --json; a command that fails is an error. */
  async ask(...args: string[]): Promise<unknown> {
    const { exitCode, stdout, stderr } = await this.command(...args, "--json");
    if (exitCode !== 0)
      throw new Error(`portmesh ${args.join(" ")} on ${this.name} ended with ${exitCode}: ${stderr}`);
    return JSON.parse(stdout);
  }

  /** Ends what runs, removes its directory and keeps its log as `label`/NAME. */
  async remove(label: string): Promise<void> {
    await this.kill();
    keepLog(`${label}/${this.name}`, this.log);
    rmSync(this.directory, { recursive: true, force: true });
  }

  get #running(): NodeProcess {
    if (this.#process === null) throw new Error(`${this.name} does not run`);
    return this.#process;
  }

  #ended(): void {
    this.#pastLog = this.log;
    this.#process = null;
  }

  #threadStates(): string[] {
    return readdirSync(`/proc/${this.pid}/task`).map((thread) => {
      const stat = readFileSync(`/proc/${this.pid}/task/${thread}/stat`, "latin1");
      return stat.slice(stat.lastIndexOf(")") + 2)[0]!;
    });
  }
}
