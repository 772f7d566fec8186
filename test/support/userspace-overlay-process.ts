/**
 * The userspace driver in a process of its own, so that it can be in a network namespace, lack rights, and be killed.
 * Without arguments this file is what starts it; with one it is the process: a request and an answer per line, JSON.
 */
import { resolve } from "node:path";
import { createInterface } from "node:readline";
import {
  type OverlayEnd,
  OverlayError,
  type OverlayPeer,
  type PeerCounts,
  type RefusedPeer,
  UserspaceOverlay,
  type UserspaceOverlayOptions,
} from "../../src/overlay/index.ts";
import { waitFor } from "./wait-for.ts";

const SELF = resolve("test/support/userspace-overlay-process.ts");

type Request =
  | { readonly do: "open"; readonly end: OverlayEnd; readonly options: UserspaceOverlayOptions }
  | {
      readonly do: "apply";
      readonly peers: readonly OverlayPeer[];
      readonly mtus: readonly (readonly [string, number])[];
    }
  /** "": what no peer can be blamed for */
  | { readonly do: "count"; readonly name: string }
  | { readonly do: "close" };

interface Answer {
  readonly refused: readonly RefusedPeer[];
  readonly mtuBytes: number;
  readonly counts: PeerCounts | null;
  readonly error: { readonly code: string; readonly message: string } | null;
}

export class UserspaceOverlayProcess {
  readonly #child: Bun.Subprocess<"pipe", "pipe", "inherit">;
  #output = "";
  #answers = 0;

  /** @param wrapper in front of the command: a network namespace, fewer rights */
  constructor(wrapper: readonly string[]) {
    this.#child = Bun.spawn([...wrapper, process.execPath, SELF, "run"], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    void this.#read();
  }

  get pid(): number {
    return this.#child.pid;
  }

  open(end: OverlayEnd, options: Partial<UserspaceOverlayOptions> = {}): Promise<Answer> {
    return this.#ask({ do: "open", end, options: { owner: "test/node", ...options } });
  }

  /** @param mtus inner MTU by name of the peer */
  apply(peers: readonly OverlayPeer[], mtus: Readonly<Record<string, number>> = {}): Promise<Answer> {
    return this.#ask({ do: "apply", peers, mtus: Object.entries(mtus) });
  }

  /** Of a peer, or of nobody. */
  async counts(name = ""): Promise<PeerCounts> {
    return (await this.#ask({ do: "count", name })).counts!;
  }

  close(): Promise<Answer> {
    return this.#ask({ do: "close" });
  }

  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#child.exited;
  }

  async #ask(request: Request): Promise<Answer> {
    const wanted = ++this.#answers;
    this.#child.stdin.write(`${JSON.stringify(request)}\n`);
    await this.#child.stdin.flush();
    const lines = () => this.#output.split("\n").slice(0, -1);
    await waitFor(() => lines().length >= wanted, {
      what: `an answer to ${request.do}`,
      deadlineMs: 20_000,
    });
    return JSON.parse(lines()[wanted - 1]!);
  }

  async #read(): Promise<void> {
    for await (const chunk of this.#child.stdout) this.#output += Buffer.from(chunk).toString();
  }
}

/** Answers requests until its input ends. */
async function run(): Promise<void> {
  let overlay: UserspaceOverlay | null = null;
  for await (const line of createInterface({ input: process.stdin })) {
    let refused: readonly RefusedPeer[] = [];
    let error: Answer["error"] = null;
    let counts: PeerCounts | null = null;
    const request = JSON.parse(line) as Request;
    try {
      if (request.do === "open") overlay = UserspaceOverlay.open(request.end, request.options);
      else if (request.do === "apply") {
        const result = overlay!.apply(request.peers, new Map(request.mtus));
        refused = result.refused;
        await result.applied;
      } else if (request.do === "count")
        counts = request.name === "" ? overlay!.counts : overlay!.countsOf(request.name);
      else await overlay!.close();
    } catch (caught) {
      if (!(caught instanceof OverlayError)) throw caught;
      error = { code: caught.code, message: caught.message };
    }
    const answer: Answer = { refused, mtuBytes: overlay?.mtuBytes ?? 0, counts, error };
    process.stdout.write(`${JSON.stringify(answer)}\n`);
  }
  process.exit();
}

if (import.meta.main) await run();
