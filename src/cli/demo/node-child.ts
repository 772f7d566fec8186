/** A node of the demo: this program as a child process; its log lines are prefixed with its name. */
import { requestOverSocket } from "../client/http.ts";
import type { DemoNode } from "./demo-config.ts";
import { fileOf, socketOf } from "./demo-config.ts";
import { selfCommand } from "./self-command.ts";

const ASK_EVERY_MS = 50;
const ASK_TIMEOUT_MS = 1_000;

interface ClusterAnswer {
  readonly cluster?: { readonly members: readonly { readonly state: string }[] } | null;
}

export class NodeChild {
  readonly #child: Bun.Subprocess<"ignore", "pipe", "pipe">;

  constructor(
    readonly node: DemoNode,
    show: (line: string) => void,
  ) {
    this.#child = Bun.spawn([...selfCommand(), "run", "-c", fileOf(node)], {
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
      env: process.env,
    });
    const { stdout, stderr } = this.#child;
    void showLines(stdout, (line) => show(`${node.name} | ${line}\n`));
    void showLines(stderr, (line) => show(`${node.name} | ${line}\n`));
  }

  get pid(): number {
    return this.#child.pid;
  }

  /** Resolves to the exit code; 128 and more for a signal. */
  get ended(): Promise<number> {
    return this.#child.exited;
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Resolves true when it sees `count` members alive, false when it has ended or at the deadline. */
  async sees(count: number, deadlineMs: number): Promise<boolean> {
    const endMs = performance.now() + deadlineMs;
    while (this.#child.exitCode === null && performance.now() < endMs) {
      if ((await this.#countAlive()) >= count) return true;
      await Bun.sleep(ASK_EVERY_MS);
    }
    return false;
  }

  async #countAlive(): Promise<number> {
    try {
      const request = { method: "GET", path: "/v1/status", timeoutMs: ASK_TIMEOUT_MS } as const;
      const { text } = await requestOverSocket(socketOf(this.node), request);
      const { cluster } = JSON.parse(text) as ClusterAnswer;
      return (cluster?.members ?? []).filter(({ state }) => state === "alive").length;
    } catch {
      return 0; // not there yet
    }
  }
}

async function showLines(stream: ReadableStream<Uint8Array>, show: (line: string) => void): Promise<void> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of stream) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    lines.forEach(show);
  }
  if (rest !== "") show(rest);
}
