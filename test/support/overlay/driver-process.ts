/**
 * A driver of the overlay in a process of its own, so that it can be in a network namespace, lack rights, and be
 * killed: a request and its answer per line, JSON.
 */
import { createInterface } from "node:readline";
import {
  OverlayError,
  type OverlayPeer,
  type PeerCounts,
  type RefusedPeer,
} from "../../../src/overlay/index.ts";
import { waitFor } from "../time/wait-for.ts";

/** What the request was not about has its empty value. */
export interface DriverAnswer {
  readonly refused: readonly RefusedPeer[];
  readonly mtuBytes: number;
  readonly counts: PeerCounts | null;
  /** Why the driver did not do it. */
  readonly error: { readonly code: string; readonly message: string } | null;
}

export interface ApplyRequest {
  readonly do: "apply";
  readonly peers: readonly OverlayPeer[];
  readonly mtus: readonly (readonly [string, number])[];
}

type Answered = Partial<Omit<DriverAnswer, "error">>;

export class DriverProcess<Request extends { readonly do: string }> {
  readonly #child: Bun.Subprocess<"pipe", "pipe", "inherit">;
  #output = "";
  #answers = 0;

  /**
   * @param script calls `answerRequests`
   * @param wrapper in front of the command: a network namespace, fewer rights
   */
  constructor(script: string, wrapper: readonly string[]) {
    this.#child = Bun.spawn([...wrapper, process.execPath, script, "run"], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    void this.#read();
  }

  get pid(): number {
    return this.#child.pid;
  }

  /** @param mtus inner MTU by name of the peer */
  apply(peers: readonly OverlayPeer[], mtus: Readonly<Record<string, number>> = {}): Promise<DriverAnswer> {
    return this.ask({ do: "apply", peers, mtus: Object.entries(mtus) });
  }

  close(): Promise<DriverAnswer> {
    return this.ask({ do: "close" });
  }

  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#child.exited;
  }

  protected async ask(request: Request | ApplyRequest | { readonly do: "close" }): Promise<DriverAnswer> {
    const wanted = ++this.#answers;
    this.#child.stdin.write(`${JSON.stringify(request)}\n`);
    await this.#child.stdin.flush();
    const lines = () => this.#output.split("\n").slice(0, -1);
    await waitFor(() => lines().length >= wanted, { what: `an answer to ${request.do}` });
    return JSON.parse(lines()[wanted - 1]!);
  }

  async #read(): Promise<void> {
    for await (const chunk of this.#child.stdout) this.#output += Buffer.from(chunk).toString();
  }
}

/** Until the input ends, when the process does as well. */
export async function answerRequests<Request>(
  perform: (request: Request) => Answered | Promise<Answered>,
): Promise<never> {
  const nothing = { refused: [], mtuBytes: 0, counts: null, error: null };
  for await (const line of createInterface({ input: process.stdin })) {
    let answer: DriverAnswer;
    try {
      answer = { ...nothing, ...(await perform(JSON.parse(line))) };
    } catch (caught) {
      if (!(caught instanceof OverlayError)) throw caught;
      answer = { ...nothing, error: { code: caught.code, message: caught.message } };
    }
    process.stdout.write(`${JSON.stringify(answer)}\n`);
  }
  process.exit();
}
