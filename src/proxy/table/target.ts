/**
 * One address that serves a published port, with what this worker has learnt about it.
 *
 * It outlives reloads as long as its task stays, so its failures and open connections do too.
 */
import {
  ECONNREFUSED,
  ECONNRESET,
  EHOSTUNREACH,
  EMFILE,
  ENETUNREACH,
  ENOENT,
  ESHUTDOWN,
  ETIMEDOUT,
} from "../../sys/errno.ts";
import { RttEstimator, type TimeoutBounds } from "../../sys/rtt-estimator.ts";
import { SOCKADDR_MAX, writeSockaddr } from "../../sys/sockaddr.ts";
import { formatHostPort, parseIp } from "../../wire/index.ts";
import type { Candidate } from "../balance/index.ts";
import { hashText } from "../balance/index.ts";
import { ConnectTime } from "./connect-time.ts";
import { taskText } from "./connection-record.ts";
import {
  CONNECT_FAILURES,
  countTime,
  type SharedCounters,
  sumRows,
  T_BYTES_IN,
  T_BYTES_OUT,
  T_CONNECTS,
  T_FAILING,
  T_FAILURES,
  T_FAILURES_BY,
  T_HEDGES,
  T_LAST_ERRNO,
  T_LAST_FAILURE_AT,
  T_OPEN,
  T_RETRIES,
  T_TOTAL,
  TASK_FIELDS,
} from "./counters.ts";
import type { RelayPeer } from "./peer.ts";
import type { Distance } from "./routing-table.ts";
import type { WorkerTask } from "./worker-messages.ts";

/** A task whose connect failed is tried again after so long; doubled for every failure in a row. */
const FIRST_PAUSE_MS = 1000;
const MAX_PAUSE_MS = 10_000;
/** A UDP session is the only new one on trial for so long: ARP gives up after three seconds. */
const TRIAL_MS = 4_000;
/** A task that is late is passed over for so long, unless it answers. */
const LATE_PAUSE_MS = 1000;
/** How long a task may take to accept before another is tried beside it. */
const ACCEPT_TIMEOUT: TimeoutBounds = { firstMs: 500, floorMs: 250, ceilingMs: 2800, marginMs: 100 };

export class Target implements Candidate {
  readonly hash: number;
  readonly sockaddr = new Uint8Array(SOCKADDR_MAX);
  readonly sockaddrLength: number;
  /** AF_INET or AF_INET6 */
  readonly family: number;
  weight = 1;
  isDraining = false;
  isBackup = false;
  /** Its health check wants no new connections to it; open ones go on. */
  isOutOfRotation = false;
  /** Its task, or this address of it, has left the table. */
  isRetired = false;
  /** The task is still there, by other addresses: a name that answers with another one each time. What is open goes on. */
  isMissing = false;
  drainTimeoutMs = 0;
  /** Connections still open then are cut; Infinity while it is in full service. */
  cutAtMs = Number.POSITIVE_INFINITY;
  readonly taskName: string;
  readonly address: string;
  readonly distance: Distance;
  /** Open connections and sessions of this worker. */
  open = 0;
  readonly slot: number;
  #failingUntilMs = 0;
  #failuresInRow = 0;
  /** It was late: other tasks are preferred until then. */
  #lateUntilMs = 0;
  /** From connect, or the question to its node, to its answer. */
  readonly #acceptTime = new RttEstimator(ACCEPT_TIMEOUT);
  /** The same with retransmissions. */
  readonly #connectTime: ConnectTime;
  /** An overtaken attempt continues without its client, to find out whether the task is slow or dead. */
  hasOvertaken = false;
  /** It had failed, and one UDP session finds out whether it works: others pass it over meanwhile. */
  isOnTrial = false;
  /** What a relay calls it; made when it is first asked for. */
  relayTask: Uint8Array | null = null;
  /** "10.1.0.7 53", which other targets may be too. */
  readonly endpoint: string;
  readonly #row: Float64Array;
  readonly #at: number;
  /** Made when it is first asked for, and of `#textPeer`. */
  #text: Uint8Array | null = null;
  #textPeer: RelayPeer | null = null;

  constructor(
    task: WorkerTask,
    readonly port: number,
    readonly counters: SharedCounters,
    worker: number,
    /**
     * The node that runs it, as it is reached now; null: this one. Another node's is not connected to: it has no socket
     * address.
     */
    public peer: RelayPeer | null = null,
    /**
     * Called with a positive errno when it is late or begins to fail, or still does after a pause; and with how long a
     * connect to it may take, where that has been measured.
     */
    readonly onFailing: (errnoValue: number, patienceMs: number | null) => void = () => undefined,
  ) {
    const { name, address, identity, distance, slot } = task;
    this.slot = slot;
    this.taskName = name;
    this.address = address;
    this.distance = distance;
    this.hash = hashText(identity);
    this.endpoint = `${address} ${port}`;
    const ip = peer === null ? parseIp(address)! : null;
    this.#connectTime = new ConnectTime(address === "::1" || (ip?.bytes.length === 4 && ip.bytes[0] === 127));
    this.sockaddrLength = ip === null ? 0 : writeSockaddr(this.sockaddr, 0, ip.bytes, port);
    this.family = this.sockaddr[0]!;
    this.#row = counters.tasks[worker]!;
    this.#at = slot * TASK_FIELDS;
  }

  /** What connection records call it, as it is reached now. */
  get text(): Uint8Array {
    const { peer, port } = this;
    if (this.#text !== null && peer === this.#textPeer) return this.#text;
    this.#textPeer = peer;
    const path = peer === null ? "local" : peer.path;
    const address = formatHostPort(this.address, port);
    this.#text = taskText({ name: this.taskName, address, node: peer?.name ?? null, path });
    return this.#text;
  }

  /** Its own failures, and those of the path to it. */
  get failingUntilMs(): number {
    const { peer } = this;
    const untilMs = Math.max(this.#failingUntilMs, this.#lateUntilMs);
    return peer === null ? untilMs : Math.max(untilMs, peer.avoidUntilMs);
  }

  /** The heartbeat of its node; false once it has left the table, as heartbeats end then. */
  get isPeerHeard(): boolean {
    return !this.isRetired && this.peer !== null && this.peer.isReachable && this.peer.rttMs > 0;
  }

  /** So long after the connect another task is tried. */
  get acceptTimeoutMs(): number {
    return this.#acceptTime.timeoutMs;
  }

  /** Within which most connects are over, with what has to be sent again. */
  get connectTimeoutMs(): number {
    return this.#connectTime.timeoutMs;
  }

  /** Of all workers. */
  openConnections(): number {
    return sumRows(this.counters.tasks, this.#at + T_OPEN);
  }

  /** No new connections; those open now may go on for drainTimeoutMs. */
  startDraining(nowMs: number): void {
    if (this.isDraining) return;
    this.isDraining = true;
    this.cutAtMs = nowMs + this.drainTimeoutMs;
  }

  /** Its failures are forgotten: it may have refused because it was draining. */
  stopDraining(): void {
    if (!this.isDraining) return;
    this.#forgetFailures();
    this.isDraining = false;
    this.cutAtMs = Number.POSITIVE_INFINITY;
  }

  /** Its failures are forgotten when it comes back: the check knows better. */
  setOutOfRotation(isOut: boolean): void {
    if (this.isOutOfRotation && !isOut) this.#forgetFailures();
    this.isOutOfRotation = isOut;
  }

  /** Its failures are no longer its task's. */
  retire(nowMs: number): void {
    this.#leaveTable();
    if (this.isMissing) this.isDraining = false;
    this.isMissing = false;
    this.startDraining(nowMs);
  }

  /** The name of its task has other addresses now: no new connections, those open now go on. */
  goMissing(): void {
    this.#leaveTable();
    this.isMissing = true;
    this.isDraining = true;
    this.cutAtMs = Number.POSITIVE_INFINITY;
  }

  /** The name has this address again. */
  comeBack(): void {
    this.#failuresInRow = 0;
    this.#failingUntilMs = 0;
    this.#lateUntilMs = 0;
    this.isRetired = false;
    this.isMissing = false;
    this.isDraining = false;
  }

  /** Sessions with it end or move. */
  isGone(nowMs: number): boolean {
    return (this.isRetired && !this.isMissing) || this.isOutOfRotation || this.cutAtMs <= nowMs;
  }

  /** A TCP connection is open: it has answered. */
  onConnected(): void {
    this.onOpened();
    this.onAnswered();
  }

  /** A UDP session is open, which by itself proves nothing. */
  onOpened(): void {
    this.open++;
    this.#row[this.#at + T_OPEN]!++;
    this.#row[this.#at + T_TOTAL]!++;
  }

  /** The same of one that another process has opened, and counted. */
  onContinued(): void {
    this.open++;
    this.#row[this.#at + T_OPEN]!++;
  }

  /** While something is open with it. */
  countBytesIn(bytes: number): void {
    this.#row[this.#at + T_BYTES_IN]! += bytes;
  }

  countBytesOut(bytes: number): void {
    this.#row[this.#at + T_BYTES_OUT]! += bytes;
  }

  /** Another task is tried for its client. @param isHedge beside it */
  onPassedOver(isHedge: boolean): void {
    if (!this.isRetired) this.#row[this.#at + (isHedge ? T_HEDGES : T_RETRIES)]!++;
  }

  /** It works, whatever happened before. */
  onAnswered(): void {
    this.#forgetFailures();
  }

  /**
   * It has taken so long to accept a connection.
   * @param withoutLossMs and so long, without retransmission; null: not known
   */
  onAccepted(tookMs: number, nowMs: number, withoutLossMs: number | null = tookMs): void {
    this.#connectTime.add(tookMs, nowMs);
    if (withoutLossMs !== null) this.#acceptTime.add(withoutLossMs, nowMs);
    if (!this.isRetired) countTime(this.#row, this.#at + T_CONNECTS, tookMs);
  }

  /** It has not accepted within `acceptTimeoutMs`, and still may. Those that are late beside each other count once. */
  onLate(nowMs: number): void {
    if (nowMs < this.failingUntilMs) return;
    this.#acceptTime.backOff();
    this.#lateUntilMs = nowMs + LATE_PAUSE_MS;
    this.onFailing(ETIMEDOUT, this.#connectTime.measuredPatienceMs);
  }

  /** A UDP session has begun, whose datagrams may be lost without an error for seconds. */
  onTried(nowMs: number): void {
    if (this.#failuresInRow === 0 || nowMs < this.#failingUntilMs) return;
    this.isOnTrial = true;
    this.#failingUntilMs = nowMs + TRIAL_MS;
  }

  onClosed(): void {
    this.open--;
    this.#row[this.#at + T_OPEN]!--;
  }

  /** Connects that fail beside each other are one failure in a row. @param errnoValue positive errno */
  onFailed(errnoValue: number, nowMs: number): void {
    if (nowMs >= this.#failingUntilMs || this.isOnTrial) {
      this.isOnTrial = false;
      this.#failingUntilMs = nowMs + Math.min(FIRST_PAUSE_MS * 2 ** this.#failuresInRow, MAX_PAUSE_MS);
      if (this.#failuresInRow++ === 0) this.#countFailing(1);
      this.onFailing(errnoValue, this.#connectTime.measuredPatienceMs);
    }
    if (this.isRetired) return;
    this.#row[this.#at + T_FAILURES]!++;
    const kind = CONNECT_FAILURES.indexOf(failureKind(errnoValue)!);
    if (kind >= 0) this.#row[this.#at + T_FAILURES_BY + kind]!++;
    this.#row[this.#at + T_LAST_ERRNO] = errnoValue;
    this.#row[this.#at + T_LAST_FAILURE_AT] = Date.now();
  }

  #leaveTable(): void {
    if (this.#failuresInRow > 0) this.#countFailing(-1);
    this.isRetired = true;
  }

  #forgetFailures(): void {
    this.#lateUntilMs = 0;
    if (this.#failuresInRow === 0) return;
    this.#failuresInRow = 0;
    this.#failingUntilMs = 0;
    this.isOnTrial = false;
    this.#countFailing(-1);
  }

  /** The slot of a retired target may belong to another task already. */
  #countFailing(by: number): void {
    if (!this.isRetired) this.#row[this.#at + T_FAILING]! += by;
  }
}

/** undefined: another one. A task of another node fails with the errno that its node's answer stands for. */
function failureKind(errnoValue: number): (typeof CONNECT_FAILURES)[number] | undefined {
  switch (errnoValue) {
    case ECONNREFUSED:
      return "refused";
    case ETIMEDOUT:
      return "timeout";
    case EHOSTUNREACH:
    case ENETUNREACH:
      return "unreachable";
    case ECONNRESET:
      return "reset";
    case ESHUTDOWN:
      return "draining";
    case ENOENT:
      return "no-such-task";
    case EMFILE:
      return "no-descriptor";
    default:
      return undefined;
  }
}
