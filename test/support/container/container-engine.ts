/**
 * dockerd or podman on a machine of a test network. It has namespaces of its own for processes, mounts and the host
 * name; everything it starts ends with it: close() ends it, and so does the end of the test process, whose pipe its
 * first process reads. Networks and firewall rules of the engine are in the machine's network namespace.
 */
import { readFileSync, writeFileSync } from "node:fs";
import type { NetworkNode } from "../network/network-node.ts";
import { type TempDir, tempDir } from "../os/temp-dir.ts";
import { waitFor } from "../time/wait-for.ts";

export type EngineName = "docker" | "podman";

/** What the command line of each needs in front of a command. `$D` is its directory. */
const COMMAND_LINES: Readonly<Record<EngineName, (directory: string) => readonly string[]>> = {
  docker: () => ["docker", "--host", "unix:///run/docker.sock"],
  podman: (directory) => [
    ...["env", `CONTAINERS_CONF=${directory}/containers.conf`, "podman", "--storage-driver", "vfs"],
    ...["--root", `${directory}/root`, "--runroot", "/run/containers"],
  ],
};
const DOCKERD = `dockerd --storage-driver vfs --default-ulimit nofile=10000:10000 --data-root $D/data \\
  --exec-root /run/docker --pidfile /run/docker.pid -H unix:///run/docker.sock > $D/dockerd.log 2>&1 &`;
const FIRST_PROCESS = `mount -t tmpfs tmpfs /run
D=$1
hostname "$2"
$DAEMON
echo ready
cat > /dev/null`;
const CONTAINERS_CONF = `[containers]
default_ulimits = ["nofile=10000:10000", "nproc=4096:4096"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
[network]
network_config_dir = "/run/networks"
`;

export interface Outcome {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

export class ContainerEngine {
  readonly #directory: TempDir;
  readonly #enter: readonly string[];
  readonly #commandLine: readonly string[];

  private constructor(
    readonly name: EngineName,
    readonly node: NetworkNode,
    directory: TempDir,
    readonly firstProcess: Bun.Subprocess<"pipe", "pipe", "inherit">,
  ) {
    this.#directory = directory;
    const pid = childOf(firstProcess.pid);
    this.#enter = ["nsenter", `--target=${pid}`, "--mount", "--pid", "--uts", "--net"];
    this.#commandLine = COMMAND_LINES[name](directory.path);
  }

  static async start(name: EngineName, node: NetworkNode): Promise<ContainerEngine> {
    const directory = tempDir();
    writeFileSync(directory.file("containers.conf"), CONTAINERS_CONF);
    const unshare = ["unshare", "--mount", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc"];
    const daemon = name === "docker" ? DOCKERD : "";
    const firstProcess = Bun.spawn(
      [
        ...["nsenter", `--net=/run/netns/${node.namespace}`, ...unshare],
        ...["sh", "-c", FIRST_PROCESS.replace("$DAEMON", daemon), "sh", directory.path, node.name],
      ],
      { stdio: ["pipe", "pipe", "inherit"] },
    );
    await firstProcess.stdout.getReader().read();
    const engine = new ContainerEngine(name, node, directory, firstProcess);
    try {
      await waitFor(async () => (await engine.try("version")).exitCode === 0, { what: `${name} to answer` });
    } catch (error) {
      await engine.close();
      throw error;
    }
    return engine;
  }

  /** Runs a command of the engine to its end and gives what it printed. */
  async run(...args: readonly string[]): Promise<string> {
    const { exitCode, stdout, stderr } = await this.try(...args);
    if (exitCode === 0) return stdout;
    throw new Error(`${this.name} ${args.join(" ")} ended with ${exitCode}: ${stderr || stdout}`);
  }

  async try(...args: readonly string[]): Promise<Outcome> {
    return this.#exec([...this.#commandLine, ...args]);
  }

  /** Runs another program where the engine is, to its end; it gets the variables it needs to reach the engine. */
  async runBeside(command: readonly string[], directory: string): Promise<string> {
    const variables = this.name === "docker" ? ["DOCKER_HOST=unix:///run/docker.sock"] : [];
    const { exitCode, stdout, stderr } = await this.#exec([
      "env",
      `--chdir=${directory}`,
      ...variables,
      ...command,
    ]);
    if (exitCode === 0) return stdout;
    throw new Error(`${command.join(" ")} ended with ${exitCode}: ${stderr || stdout}`);
  }

  async #exec(command: readonly string[]): Promise<Outcome> {
    const child = Bun.spawn([...this.#enter, ...command], { stdio: ["ignore", "pipe", "pipe"] });
    const [stdout, stderr] = await Promise.all([child.stdout.text(), child.stderr.text()]);
    return { exitCode: await child.exited, stdout, stderr };
  }

  /** Ends everything, and removes what it has stored. */
  async close(): Promise<void> {
    this.firstProcess.kill("SIGKILL");
    await this.firstProcess.exited;
    this.#directory[Symbol.dispose]();
  }
}

function childOf(pid: number): number {
  return Number(readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim());
}
