/**
 * Tests every port between this node and the others, in both directions: this node tries the other's ports, asks it to
 * try those of this node, and puts both together (judge.ts). The questions of others are answered (answers.ts).
 */
import type { Clock } from "../../sys/clock.ts";
import { Answers, type AnswersOptions, type AskedBy } from "./answers.ts";
import { judge, type PeerPorts } from "./judge.ts";
import { Marks } from "./marks.ts";
import { decodePortTest, encodePortTest, type Heard, type PortTestMessage, type Report } from "./message.ts";
import { runTrials, type TestedPeer, type TrialNetwork, timeoutMsOf } from "./trials.ts";

/** Nodes tested beside each other: each takes some sockets for a second or two. */
const MAX_PARALLEL = 50;
/** However many nodes there are: the command waits for it. */
const DEADLINE_MS = 12_000;
const COLLECT_PAUSE_MS = 150;
/** The other node begins later, and its answer takes its time. */
const COLLECT_MARGIN_MS = 500;
/** A node tests for another once a second. */
const BUSY_PAUSE_MS = 1_100;
const RUN_BYTES = 8;

export interface PortTesterOptions
  extends Pick<AnswersOptions, "self" | "hasKeys" | "peer" | "problems" | "sendReliably" | "sendDatagram"> {
  readonly peers: () => readonly TestedPeer[];
  readonly ask: (peer: TestedPeer, payload: Uint8Array, timeoutMs: number) => Promise<StreamAnswer>;
  /** When an echo of the node came last over the overlay, in the time of the clock; null: never. */
  readonly echoHeardMs: (node: string) => number | null;
  readonly network: TrialNetwork;
  readonly random: (bytes: number) => Uint8Array;
  readonly clock: Clock;
}

/** `no-answer`: the other node knows no answer; `unreadable`: it uses another key or protocol. */
export interface StreamAnswer {
  readonly payload: Uint8Array | null;
  readonly failure: "no-answer" | "unreadable" | "unreached" | null;
}

type Start = "started" | "busy" | "pushed" | "other-key" | { readonly notTested: string };

export class PortTester {
  readonly #options: PortTesterOptions;
  readonly #marks = new Marks();
  readonly #answers: Answers;
  /** By test: where a report that comes unasked goes. Bounded by MAX_PARALLEL. */
  readonly #waiting = new Map<string, (report: Report) => void>();
  #test: Promise<readonly PeerPorts[]> | null = null;

  constructor(options: PortTesterOptions) {
    this.#options = options;
    this.#answers = new Answers({
      ...options,
      marks: this.#marks,
      run: (peer, run, timeoutMs) => runTrials(peer, run, timeoutMs, options.network),
    });
  }

  /** Something that another node has said; what to answer on a stream. */
  onMessage(payload: Uint8Array, by: AskedBy): Uint8Array | null {
    const said = decodePortTest(payload);
    if (said === null) return null;
    const answer = this.#onMessage(said, by);
    return answer === null || !by.isStream ? null : encodePortTest(answer);
  }

  /** By name of the node. A second one that is asked for meanwhile is the same. */
  async test(): Promise<readonly PeerPorts[]> {
    this.#test ??= this.#testAll().finally(() => {
      this.#test = null;
    });
    return this.#test;
  }

  #onMessage(said: PortTestMessage, by: AskedBy): PortTestMessage | null {
    switch (said.type) {
      case "start":
      case "collect":
        return this.#answers.onAsked(said, by);
      case "mark":
        this.#marks.onMark(said, by.host);
        return null;
      case "report":
        this.#waiting.get(said.run)?.(said);
        return null;
      default:
        return null;
    }
  }

  async #testAll(): Promise<readonly PeerPorts[]> {
    const waiting = [...this.#options.peers()];
    const endMs = this.#nowMs() + DEADLINE_MS;
    const done: PeerPorts[] = [];
    const work = async () => {
      for (let peer = waiting.shift(); peer !== undefined; peer = waiting.shift())
        done.push(
          this.#nowMs() < endMs ? await this.#testPeer(peer) : untested(this.#options.self, peer, TOO_LATE),
        );
    };
    await Promise.all(Array.from({ length: MAX_PARALLEL }, work));
    return done.sort((a, b) => (a.node < b.node ? -1 : 1));
  }

  /** A busy node, usually with a test for this node a moment ago, is asked a second time. */
  async #testPeer(peer: TestedPeer): Promise<PeerPorts> {
    const first = await this.#tryPeer(peer);
    if (first !== "busy") return first;
    await this.#wait(BUSY_PAUSE_MS);
    const second = await this.#tryPeer(peer);
    return second === "busy" ? untested(this.#options.self, peer, BUSY) : second;
  }

  async #tryPeer(peer: TestedPeer): Promise<PeerPorts | "busy"> {
    const { self, network, random } = this.#options;
    const run = Buffer.from(random(RUN_BYTES)).toString("hex");
    const startedMs = this.#nowMs();
    const pushed = Promise.withResolvers<Report>();
    this.#waiting.set(run, pushed.resolve);
    this.#marks.expect(peer.name, run);
    try {
      const [start, trials] = await Promise.all([
        this.#start(peer, run),
        runTrials(peer, run, timeoutMsOf(peer), network),
      ]);
      if (start === "busy") return start;
      const report = await this.#reportOf(peer, { run, startedMs }, start, pushed.promise);
      const { fresh, known } = this.#marks.heard(peer.name, run);
      const echoMs = this.#options.echoHeardMs(peer.name);
      const heard: Heard = { fresh, known, echo: echoMs !== null && echoMs >= startedMs };
      const notTested = reasonOf(peer, start, report);
      const hasOtherKey = start === "other-key";
      return judge({ self, peer, trials, heard, report, notTested, hasOtherKey });
    } finally {
      this.#waiting.delete(run);
      this.#marks.forget(peer.name, run);
    }
  }

  async #start(peer: TestedPeer, run: string): Promise<Start> {
    if (!peer.isPortmesh) return { notTested: `${peer.name} is not a portmesh node` };
    const { self, ask, sendDatagram, hasKeys } = this.#options;
    const start = { type: "start", from: self, run, timeoutMs: timeoutMsOf(peer) } as const;
    if (hasKeys()) sendDatagram(peer, encodePortTest({ ...start, isPushed: true })); // for when TCP is what is closed
    const asked = await ask(peer, encodePortTest({ ...start, isPushed: false }), timeoutMsOf(peer));
    switch (asked.failure) {
      case "unreached":
        return "pushed";
      case "unreadable":
        return "other-key";
      case "no-answer":
        return OLDER;
      case null:
        return startOf(decodePortTest(asked.payload!));
    }
  }

  async #reportOf(
    peer: TestedPeer,
    { run, startedMs }: { readonly run: string; readonly startedMs: number },
    start: Start,
    pushed: Promise<Report>,
  ): Promise<Report | null> {
    const endMs = startedMs + 2 * timeoutMsOf(peer) + COLLECT_MARGIN_MS;
    if (start === "pushed") return Promise.race([pushed, this.#wait(endMs - this.#nowMs()).then(() => null)]);
    if (start !== "started") return null;
    let last: Report | null = null;
    while (this.#nowMs() < endMs) {
      const question = encodePortTest({ type: "collect", from: this.#options.self, run });
      const { payload } = await this.#options.ask(peer, question, timeoutMsOf(peer));
      const said = payload === null ? null : decodePortTest(payload);
      if (said?.type !== "report") return last;
      last = said;
      if (said.isDone) break;
      await this.#wait(COLLECT_PAUSE_MS);
    }
    return last;
  }

  #nowMs(): number {
    return this.#options.clock.nowMs();
  }

  #wait(ms: number): Promise<void> {
    return new Promise((resolve) => this.#options.clock.after(Math.max(0, ms), resolve));
  }
}

const OLDER = { notTested: "it runs an older version without port tests" };
const BUSY = "it is busy with other tests: try again in a few seconds";
const TOO_LATE = "timed out before its turn";

function startOf(answer: PortTestMessage | null): Start {
  if (answer?.type === "started") return "started";
  if (answer?.type !== "refused") return OLDER;
  return answer.isBusy ? "busy" : { notTested: answer.reason };
}

function reasonOf({ name }: TestedPeer, start: Start, report: Report | null): string | null {
  if (report?.isDone) return null;
  if (typeof start === "object") return start.notTested;
  if (start === "other-key") return `${name} uses another key or protocol`;
  if (start === "pushed") return `cannot reach ${name} by gossip: see its gossip ports`;
  return `no report from ${name} in time`;
}

function untested(self: string, peer: TestedPeer, notTested: string): PeerPorts {
  const heard = { fresh: null, known: null, echo: false };
  return judge({ self, peer, trials: [], heard, report: null, notTested });
}
