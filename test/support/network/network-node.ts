/** One machine of a test network: programs run in it, its links break and heal. Every change is in force on return. */

import { findProgram } from "../os/require-program.ts";
import {
  type Cut,
  type Direction,
  incomingRuleset,
  type NetworkFaults,
  NO_FAULTS,
  outgoingRuleset,
} from "./network-faults.ts";

export class NetworkNode {
  #faults: NetworkFaults = NO_FAULTS;

  constructor(
    readonly name: string,
    readonly namespace: string,
    readonly address: string,
    /** Namespace of the bridge; there the node's name is that of its port. */
    readonly hub: string,
  ) {}

  /** In front of a command it makes it run here. */
  get wrapper(): readonly string[] {
    return [findProgram("ip")!, "netns", "exec", this.namespace];
  }

  /** Runs a program to its end and gives what it printed. */
  async run(...command: string[]): Promise<string> {
    return runWith([...this.wrapper, ...command], "");
  }

  /** Drops what comes from and goes to these peers, or one of both; everybody without peers. */
  async cut(
    direction: Direction,
    peers: readonly string[] = [],
    only: Pick<Cut, "protocol"> = {},
  ): Promise<void> {
    await this.#apply({ ...this.#faults, cuts: [...this.#faults.cuts, { direction, peers, ...only }] });
  }

  /** Loses so many of the packets that come from these peers; of all without peers. */
  async lose(percent: number, peers: readonly string[] = []): Promise<void> {
    await this.#apply({ ...this.#faults, losses: [{ percent, peers }] });
  }

  /**
   * Longer packets to these peers vanish in the network, without a word. The node's interface joins no packets from
   * then on, so that what is measured is what would be on the wire.
   */
  async narrow(maxBytes: number, peers: readonly string[]): Promise<void> {
    await this.run("ip", "link", "set", "eth0", "gso_max_segs", "1");
    await this.#apply({ ...this.#faults, narrowings: [{ maxBytes, peers }] });
  }

  /** Takes back every cut, loss and narrowing. */
  async heal(): Promise<void> {
    await this.#apply(NO_FAULTS);
  }

  /** Pulls the plug, or puts it back. */
  async setLink(state: "up" | "down"): Promise<void> {
    await runWith([findProgram("ip")!, "-n", this.namespace, "link", "set", "eth0", state], "");
  }

  async #apply(faults: NetworkFaults): Promise<void> {
    this.#faults = faults;
    await loadRules(this.namespace, incomingRuleset(faults));
    await loadRules(this.hub, outgoingRuleset(faults, this.name));
  }
}

async function loadRules(namespace: string, ruleset: string): Promise<void> {
  const nft = [findProgram("ip")!, "netns", "exec", namespace, findProgram("nft")!, "-f", "-"];
  await runWith(nft, ruleset);
}

async function runWith(command: readonly string[], input: string): Promise<string> {
  const child = Bun.spawn([...command], { stdin: Buffer.from(input), stdout: "pipe", stderr: "pipe" });
  const [stdout, stderr] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  if ((await child.exited) === 0) return stdout;
  throw new Error(`${command.join(" ")} ended with ${child.exitCode}: ${stderr || stdout}`);
}
