/** An echo node (echo-node.ts) in a network namespace, and the last thing it said. */
import { resolve } from "node:path";
import type { NetworkNode } from "../network/network-node.ts";
import { waitFor } from "../time/wait-for.ts";
import type { EchoNodeConfig, EchoNodeReport } from "./echo-node.ts";

export class EchoProcess {
  #last: EchoNodeReport | null = null;

  private constructor(readonly child: Bun.Subprocess<"pipe", "pipe", "inherit">) {
    void this.#read();
  }

  /** Resolves once it has said something. */
  static async start(node: NetworkNode, config: EchoNodeConfig): Promise<EchoProcess> {
    const script = resolve(import.meta.dir, "echo-node.ts");
    const child = Bun.spawn([...node.wrapper, process.execPath, script, JSON.stringify(config)], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    const started = new EchoProcess(child);
    await waitFor(() => started.#last, { what: "a first report" });
    return started;
  }

  get last(): EchoNodeReport {
    return this.#last!;
  }

  /** Puts the clock of its echo service ahead. */
  async skip(byMs: number): Promise<void> {
    this.child.stdin.write(`${byMs}\n`);
    await this.child.stdin.flush();
  }

  async stop(): Promise<void> {
    this.child.kill("SIGKILL");
    await this.child.exited;
  }

  async #read(): Promise<void> {
    const decoder = new TextDecoder();
    let text = "";
    for await (const chunk of this.child.stdout) {
      const lines = (text + decoder.decode(chunk, { stream: true })).split("\n");
      text = lines.pop()!;
      const line = lines.at(-1);
      if (line !== undefined) this.#last = JSON.parse(line);
    }
  }
}
