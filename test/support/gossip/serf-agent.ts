/**
 * A real `serf agent`: joins, leaves, dies, tells whom it sees. Its user events are kept, queries it answers with its
 * name. Its RPC port is on its own address, so several agents differ by address alone.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { keepLog } from "../os/keep-log.ts";
import { findProgram } from "../os/require-program.ts";
import { waitFor } from "../time/wait-for.ts";

const GOSSIP_PORT = 7946;
const RPC_PORT = 7373;
/** Its handlers are shell commands. */
const ENVIRONMENT = { PATH: "/usr/local/bin:/usr/bin:/bin" };
const STATUS_DEADLINE_MS = 40_000;
/** Each question is a process. */
const POLL_MS = 200;
const LOG_TAIL_LINES = 1_000;

export type SerfStatus = "alive" | "leaving" | "left" | "failed";

export interface SerfMember {
  readonly name: string;
  /** "127.0.0.1:7946" */
  readonly addr: string;
  readonly tags: Readonly<Record<string, string>>;
  readonly status: SerfStatus;
}

/** Texts by name, as the agent prints them: members, failed, health_score, event_time, … */
export type SerfInfo = Readonly<Record<string, string>>;

export interface QueryAnswer {
  readonly Acks: readonly string[];
  readonly Responses: Readonly<Record<string, string>>;
}

export interface SerfOptions {
  readonly name: string;
  readonly address: string;
  /** Base64 of 16, 24 or 32 bytes. */
  readonly key?: string;
  readonly tags?: Readonly<Record<string, string>>;
  readonly profile?: "lan" | "wan" | "local";
  /** In front of every command, for example a network namespace. */
  readonly wrapper?: readonly string[];
  /** More arguments of `serf agent`. */
  readonly extra?: readonly string[];
}

export class SerfAgent {
  readonly name: string;
  readonly address: string;
  #child: Bun.Subprocess;

  private constructor(
    readonly options: SerfOptions,
    readonly directory: string,
  ) {
    this.name = options.name;
    this.address = options.address;
    this.#child = this.#spawn();
  }

  /** Resolves when it answers. */
  static async start(options: SerfOptions): Promise<SerfAgent> {
    const agent = new SerfAgent(options, mkdtempSync(join(tmpdir(), "portmesh-test-serf-")));
    await agent.#answers();
    return agent;
  }

  /** Starts it again after kill() or leave(), with nothing but its name and address from before. */
  async restart(): Promise<void> {
    this.#child = this.#spawn();
    await this.#answers();
  }

  async members(): Promise<SerfMember[]> {
    return JSON.parse(await this.#rpc("members", "-format=json")).members;
  }

  /** null: not listed. */
  async statusOf(name: string): Promise<SerfStatus | null> {
    return (await this.members()).find((member) => member.name === name)?.status ?? null;
  }

  /** Names by status "alive", sorted. */
  async alive(): Promise<string[]> {
    const members = await this.members();
    return members
      .filter(({ status }) => status === "alive")
      .map(({ name }) => name)
      .sort();
  }

  async waitForStatus(name: string, ...wanted: SerfStatus[]): Promise<SerfStatus> {
    return this.#wait(`${this.name} to see ${name} as ${wanted.join(" or ")}`, async () => {
      const status = await this.statusOf(name);
      return status !== null && wanted.includes(status) && status;
    });
  }

  async waitForAlive(names: readonly string[]): Promise<void> {
    const wanted = [...names].sort().join();
    await this.#wait(
      `${this.name} to see ${wanted} alive`,
      async () => (await this.alive()).join() === wanted,
    );
  }

  /** Again when that fails: a node closes the connection of an agent that stands still for seconds. */
  async join(...addresses: string[]): Promise<void> {
    let failure = "";
    const isJoined = () =>
      this.#rpc("join", ...addresses).then(
        () => true,
        ({ message }: Error) => {
          failure = message;
          return false;
        },
      );
    await this.#wait(`${this.name} to join ${addresses.join(", ")}`, isJoined).catch((error: Error) => {
      throw new Error(`${failure}\n${error.message}`, { cause: error });
    });
  }

  /** Joins, and takes in the user events that were before. */
  async replay(address: string): Promise<void> {
    await this.#rpc("join", "-replay", address);
  }

  /** Resolves when the agent has left and ended. */
  async leave(): Promise<void> {
    await this.#rpc("leave");
    await this.#child.exited;
  }

  /** Declares a failed member left. */
  async forceLeave(name: string): Promise<void> {
    await this.#rpc("force-leave", name);
  }

  async event(name: string, payload: string): Promise<void> {
    await this.#rpc("event", "-coalesce=false", name, payload);
  }

  /** Asks all, or only these, and waits `timeoutSeconds` for their answers. */
  async query(
    name: string,
    payload: string,
    { nodes = [], timeoutSeconds = 5 }: { nodes?: readonly string[]; timeoutSeconds?: number } = {},
  ): Promise<QueryAnswer> {
    const filters = nodes.map((node) => `-node=${node}`);
    const text = await this.#rpc(
      "query",
      "-format=json",
      `-timeout=${timeoutSeconds}s`,
      ...filters,
      name,
      payload,
    );
    return JSON.parse(text);
  }

  async info(): Promise<SerfInfo> {
    return JSON.parse(await this.#rpc("info", "-format=json")).serf;
  }

  /** User events it has received, "NAME:PAYLOAD", in order. */
  get events(): string[] {
    const file = join(this.directory, "events");
    return existsSync(file) ? readFileSync(file, "utf8").split("\n").filter(Boolean) : [];
  }

  get log(): string {
    return readFileSync(join(this.directory, "log"), "utf8");
  }

  /** Stops its threads; it neither answers nor forgets. */
  pause(): void {
    this.#child.kill("SIGSTOP");
  }

  resume(): void {
    this.#child.kill("SIGCONT");
  }

  /** kill -9 */
  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#child.exited;
  }

  /** Ends it, keeps its log as `label`/NAME, removes its files. */
  async remove(label: string): Promise<void> {
    await this.kill();
    keepLog(`${label}/${this.name}`, this.log);
    rmSync(this.directory, { recursive: true, force: true });
  }

  #spawn(): Bun.Subprocess {
    const { name, address, key, tags = {}, profile = "lan", wrapper = [], extra = [] } = this.options;
    const events = join(this.directory, "events");
    const script = join(this.directory, "handler");
    writeFileSync(script, `echo "$SERF_USER_EVENT:$(cat)" >> ${events}\n`);
    return Bun.spawn(
      [
        "/bin/sh",
        "-c",
        // the log grows over restarts; a file, because nobody reads a pipe while the test does something else
        `log="$1"; shift; exec "$@" >> "$log" 2>&1`,
        "sh",
        join(this.directory, "log"),
        ...wrapper,
        findProgram("serf")!,
        "agent",
        `-node=${name}`,
        `-bind=${address}:${GOSSIP_PORT}`,
        `-rpc-addr=${address}:${RPC_PORT}`,
        `-profile=${profile}`,
        "-log-level=debug",
        `-event-handler=user=/bin/sh ${script}`,
        `-event-handler=query=echo "$SERF_SELF_NAME"`,
        ...(key === undefined ? [] : [`-encrypt=${key}`]),
        ...Object.entries(tags).flatMap(([tag, value]) => ["-tag", `${tag}=${value}`]),
        ...extra,
      ],
      { env: ENVIRONMENT, stdio: ["ignore", "ignore", "ignore"] },
    );
  }

  async #answers(): Promise<void> {
    await this.#wait(`agent ${this.name} to answer`, () =>
      this.members().then(
        () => true,
        () => {
          if (this.#child.exitCode !== null) throw new Error(`agent ${this.name} ended: ${this.log}`);
          return false;
        },
      ),
    );
  }

  async #wait<T>(what: string, condition: () => Promise<T>) {
    try {
      return await waitFor(condition, { what, deadlineMs: STATUS_DEADLINE_MS, pollMs: POLL_MS });
    } catch (error) {
      const { message } = error as Error;
      const members = await this.#rpc("members").catch((failure: Error) => failure.message);
      this.#child.kill("SIGQUIT"); // it logs where each of its threads stands
      await this.#child.exited;
      const lines = this.log.split("\n").filter((line) => !line.includes("Accepted client"));
      throw new Error([message, members, ...lines.slice(-LOG_TAIL_LINES)].join("\n"), { cause: error });
    }
  }

  async #rpc(command: string, ...args: string[]): Promise<string> {
    const { wrapper = [], address } = this.options;
    const call = [findProgram("serf")!, command, `-rpc-addr=${address}:${RPC_PORT}`, ...args];
    const child = Bun.spawn([...wrapper, ...call], { env: ENVIRONMENT, stdout: "pipe", stderr: "pipe" });
    const [stdout, stderr] = await Promise.all([child.stdout.text(), child.stderr.text()]);
    if ((await child.exited) === 0) return stdout;
    throw new Error(`serf ${command} ${args.join(" ")} at ${this.name}: ${stderr || stdout}`);
  }
}
