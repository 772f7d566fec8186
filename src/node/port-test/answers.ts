/**
 * The side that is asked: tests its ports towards the asking node and reports. It sends to where that member announces
 * itself and nowhere else, and rarely: a question cannot make it send to others, or more than was sent to it.
 */
import type { Clock } from "../../sys/clock.ts";
import type { Marks } from "./marks.ts";
import {
  encodePortTest,
  type PortTestMessage,
  problemsToReport,
  type Report,
  type Trial,
} from "./message.ts";
import type { TestedPeer } from "./trials.ts";

/** Asking nodes at once; a test is kept so long. */
const MAX_RUNS = 64;
const KEPT_MS = 12_000;
/** Between two tests for one node. */
const INTERVAL_MS = 1_000;
/** Of a report in one datagram. */
const MAX_DATAGRAM_BYTES = 1_200;

type Asked = Extract<PortTestMessage, { type: "start" | "collect" }>;

export interface AskedBy {
  readonly host: string;
  readonly isStream: boolean;
}

export interface AnswersOptions {
  readonly self: string;
  /** Messages prove that their sender has a key of the cluster. */
  readonly hasKeys: () => boolean;
  /** null: no such member. */
  readonly peer: (name: string) => TestedPeer | null;
  readonly run: (peer: TestedPeer, run: string, timeoutMs: number) => Promise<readonly Trial[]>;
  /** When an echo of the node came last over the overlay; null: never. */
  readonly echoHeardMs: (node: string) => number | null;
  /** What is wrong with this node's own end of the overlay. */
  readonly problems: () => readonly string[];
  readonly sendReliably: (peer: TestedPeer, payload: Uint8Array) => Promise<string | null>;
  readonly sendDatagram: (peer: TestedPeer, payload: Uint8Array) => void;
  readonly marks: Marks;
  readonly clock: Clock;
}

interface Run {
  readonly run: string;
  readonly startedMs: number;
  /** Of its trials. */
  readonly timeoutMs: number;
  /** The asking node cannot reach this one over TCP. */
  isPushed: boolean;
  trials: readonly Trial[] | null;
}

export class Answers {
  readonly #options: AnswersOptions;
  /** By asking node; bounded by MAX_RUNS. */
  readonly #runs = new Map<string, Run>();

  constructor(options: AnswersOptions) {
    this.#options = options;
  }

  /** null: nothing is answered. */
  onAsked(asked: Asked, by: AskedBy): PortTestMessage | null {
    const peer = this.#options.peer(asked.from);
    if (peer === null) return by.isStream ? refused("it does not know this node") : null;
    if (!this.#isBelieved(peer, by))
      return by.isStream ? refused(`the request comes from ${by.host}, not from ${peer.address}`) : null;
    if (asked.type === "start") return this.#start(asked, peer);
    const run = this.#runs.get(asked.from);
    return run?.run === asked.run ? this.#report(asked.from, run) : refused("it does not know this test");
  }

  /** Without keys anyone can write any name: the question has to come, over TCP, from where the answers will go. */
  #isBelieved({ address }: TestedPeer, { host, isStream }: AskedBy): boolean {
    return this.#options.hasKeys() || (isStream && host === address);
  }

  #start(
    { from, run: id, isPushed, timeoutMs }: Extract<Asked, { type: "start" }>,
    peer: TestedPeer,
  ): PortTestMessage {
    const nowMs = this.#options.clock.nowMs();
    this.#forgetOld(nowMs);
    const before = this.#runs.get(from);
    if (before?.run === id) {
      before.isPushed &&= isPushed; // asked twice, and one of them came over TCP
      return STARTED;
    }
    const isTooSoon = before !== undefined && nowMs - before.startedMs < INTERVAL_MS;
    if (isTooSoon || (before === undefined && this.#runs.size >= MAX_RUNS))
      return refused("it is busy with other tests: try again in a few seconds", true);
    if (before !== undefined) this.#forget(from, before);
    const run: Run = { run: id, startedMs: nowMs, timeoutMs, isPushed, trials: null };
    this.#runs.set(from, run);
    this.#options.marks.expect(from, id);
    void this.#carryOut(peer, run);
    return STARTED;
  }

  async #carryOut(peer: TestedPeer, run: Run): Promise<void> {
    const { clock } = this.#options;
    run.trials = await this.#options.run(peer, run.run, run.timeoutMs);
    if (!run.isPushed) return;
    // the asking node cannot collect it: it is sent once every mark has had the time to arrive
    const restMs = run.timeoutMs - (clock.nowMs() - run.startedMs);
    clock.after(Math.max(0, restMs), () => void this.#push(peer, run));
  }

  async #push(peer: TestedPeer, run: Run): Promise<void> {
    if (!run.isPushed) return;
    const payload = encodePortTest(this.#report(peer.name, run));
    const error = await this.#options.sendReliably(peer, payload);
    if (error === null) return;
    const short = encodePortTest({ ...this.#report(peer.name, run), problems: [] });
    const fitting = [payload, short].find(({ length }) => length <= MAX_DATAGRAM_BYTES);
    if (fitting !== undefined) this.#options.sendDatagram(peer, fitting);
  }

  #report(from: string, { run, trials, startedMs }: Run): Report {
    const { self, marks, echoHeardMs, problems } = this.#options;
    const { fresh, known } = marks.heard(from, run);
    const echoMs = echoHeardMs(from);
    return {
      type: "report",
      from: self,
      run,
      isDone: trials !== null,
      heard: { fresh, known, echo: echoMs !== null && echoMs >= startedMs },
      trials: [...(trials ?? [])],
      problems: problemsToReport(problems()),
    };
  }

  #forgetOld(nowMs: number): void {
    for (const [from, run] of this.#runs) if (nowMs - run.startedMs > KEPT_MS) this.#forget(from, run);
  }

  #forget(from: string, { run }: Run): void {
    this.#runs.delete(from);
    this.#options.marks.forget(from, run);
  }
}

const STARTED: PortTestMessage = { type: "started" };

function refused(reason: string, isBusy = false): PortTestMessage {
  return { type: "refused", reason, isBusy };
}
