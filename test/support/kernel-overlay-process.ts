/**
 * The kernel driver in a process of its own, so that it can be in a network namespace, lack rights, and be killed.
 * Without arguments this file is what starts it; with one it is the process: a request and an answer per line, JSON.
 */
import { resolve } from "node:path";
import { createInterface } from "node:readline";
import {
  KernelOverlay,
  type KernelOverlayOptions,
  type OverlayEnd,
  OverlayError,
  type OverlayPeer,
  type RefusedPeer,
} from "../../src/overlay/index.ts";
import { waitFor } from "./wait-for.ts";

const SELF = resolve("test/support/kernel-overlay-process.ts");

type Request =
  | { readonly do: "open"; readonly end: OverlayEnd; readonly options: KernelOverlayOptions }
  | {
      readonly do: "apply";
      readonly peers: readonly OverlayPeer[];
      readonly mtus: readonly (readonly [string, number])[];
    }
  | { readonly do: "setMtu"; readonly mtuBytes: number | null }
  | { readonly do: "removeLeftover"; readonly end: OverlayEnd; readonly owner: string }
  | { readonly do: "close" };

interface Answer {
  readonly refused: readonly RefusedPeer[];
  readonly mtuBytes: number;
  readonly error: { readonly code: string; readonly message: string } | null;
}

export class KernelOverlayProcess {
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

  open(end: OverlayEnd, owner: string, mtuBytes?: number): Promise<Answer> {
    return this.#ask({ do: "open", end, options: { owner, ...(mtuBytes !== undefined && { mtuBytes }) } });
  }

  /** @param mtus inner MTU by name of the peer */
  apply(peers: readonly OverlayPeer[], mtus: Readonly<Record<string, number>> = {}): Promise<Answer> {
    return this.#ask({ do: "apply", peers, mtus: Object.entries(mtus) });
  }

  setMtu(mtuBytes: number | null): Promise<Answer> {
    return this.#ask({ do: "setMtu", mtuBytes });
  }

  removeLeftover(end: OverlayEnd, owner: string): Promise<Answer> {
    return this.#ask({ do: "removeLeftover", end, owner });
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
  let overlay: KernelOverlay | null = null;
  for await (const line of createInterface({ input: process.stdin })) {
    let refused: readonly RefusedPeer[] = [];
    let error: Answer["error"] = null;
    const request = JSON.parse(line) as Request;
    try {
      if (request.do === "open") overlay = KernelOverlay.open(request.end, request.options);
      else if (request.do === "removeLeftover") KernelOverlay.removeLeftover(request.end, request);
      else if (request.do === "apply") refused = overlay!.apply(request.peers, new Map(request.mtus));
      else if (request.do === "setMtu") overlay!.setMtu(request.mtuBytes);
      else overlay!.close();
    } catch (caught) {
      if (!(caught instanceof OverlayError)) throw caught;
      error = { code: caught.code, message: caught.message };
    }
    const answer: Answer = { refused, mtuBytes: overlay?.mtuBytes ?? 0, error };
    process.stdout.write(`${JSON.stringify(answer)}\n`);
  }
}

if (import.meta.main) await run();
