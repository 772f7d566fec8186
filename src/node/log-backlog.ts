/**
 * Log lines on their way to a reader that may be slow, stopped or gone. Nothing waits for it: what it does not take is
 * kept up to a limit, further lines are dropped and counted, and the count is logged when everything kept is out.
 * Connection records are kept up to half of the limit, so that they do not displace other lines.
 */
import type { Clock } from "../sys/clock.ts";
import { errnoText } from "../sys/errno.ts";
import type { Output } from "../sys/output.ts";

/** Thousands of lines: more than a reader that restarts misses, little for a node. */
const MAX_KEPT_BYTES = 1_048_576;
const MAX_KEPT_WITH_RECORDS_BYTES = MAX_KEPT_BYTES / 2;
const JOINED_BYTES = 65_536;
/** Between attempts: a slow reader gets a full pipe each time, one that has stopped costs next to nothing. */
const MIN_RETRY_MS = 5;
const MAX_RETRY_MS = 200;

export interface LogBacklogOptions {
  readonly output: Output;
  /** JSON line -> what is written. */
  readonly format: (line: string) => string;
  readonly clock: Clock;
}

/** Lines dropped since the reader stopped. */
export interface LogLoss {
  readonly lines: number;
  /** "standard output was blocked", or the system's error. */
  readonly reason: string;
}

export class LogBacklog {
  readonly #options: LogBacklogOptions;
  #kept: Uint8Array[] = []; // bounded by MAX_KEPT_BYTES
  #keptBytes = 0;
  #lost = 0;
  #lostRecords = 0;
  #reason = "";
  #retryMs = MIN_RETRY_MS;
  #isRetryDue = false;

  constructor(options: LogBacklogOptions) {
    this.#options = options;
  }

  /** null: none is missing, or the log has said how many. */
  get loss(): LogLoss | null {
    const lines = this.#lost + this.#lostRecords;
    return lines === 0 ? null : { lines, reason: this.#reason };
  }

  /** Once lines are being dropped, all are until everything kept is out: one gap instead of many. */
  write(line: string): void {
    if (this.#lost > 0 || this.#keptBytes >= MAX_KEPT_BYTES) {
      this.#lost++;
      return;
    }
    this.#keep(line);
    if (!this.#isRetryDue) this.#drain();
  }

  /** Connection records, in lines that need no formatting: all are kept, or all are dropped. @param count of lines */
  writeRecords(lines: string, count: number): void {
    if (this.loss !== null || this.#keptBytes >= MAX_KEPT_WITH_RECORDS_BYTES) {
      this.#lostRecords += count;
      return;
    }
    this.#keepBytes(Buffer.from(lines));
    if (!this.#isRetryDue) this.#drain();
  }

  /** Blocks until everything is out, the reader takes nothing more for `maxMs`, or writing fails. */
  flush(maxMs: number): void {
    const { output, clock } = this.#options;
    const endMs = clock.nowMs() + maxMs;
    while (this.#drainNow() === 0) {
      const leftMs = endMs - clock.nowMs();
      if (leftMs <= 0) return;
      output.waitUntilWritable(leftMs);
    }
  }

  #keep(line: string): void {
    this.#keepBytes(Buffer.from(this.#options.format(line)));
  }

  #keepBytes(bytes: Uint8Array): void {
    this.#kept.push(bytes);
    this.#keptBytes += bytes.length;
  }

  #drain(): void {
    if (this.#drainNow() > 0) return;
    this.#isRetryDue = true;
    this.#options.clock.after(this.#retryMs, () => {
      this.#isRetryDue = false;
      this.#drain();
    });
    this.#retryMs = Math.min(2 * this.#retryMs, MAX_RETRY_MS);
  }

  /** 1: everything is out; 0: the reader takes nothing now; -1: writing fails. */
  #drainNow(): number {
    while (this.#keptBytes > 0) {
      const taken = this.#options.output.write(this.#head());
      if (taken <= 0) {
        this.#reason = taken === 0 ? "standard output was blocked" : errnoText(-taken);
        return Math.sign(taken);
      }
      this.#retryMs = MIN_RETRY_MS;
      this.#drop(taken);
      if (this.#keptBytes === 0 && this.loss !== null) this.#reportLoss();
    }
    return 1;
  }

  #head(): Uint8Array {
    if (this.#kept.length > 1 && this.#kept[0]!.length < JOINED_BYTES) {
      let end = 0;
      for (let bytes = 0; end < this.#kept.length && bytes < JOINED_BYTES; end++)
        bytes += this.#kept[end]!.length;
      this.#kept.splice(0, end, Buffer.concat(this.#kept.slice(0, end)));
    }
    return this.#kept[0]!;
  }

  #drop(count: number): void {
    const head = this.#kept[0]!;
    if (count < head.length) this.#kept[0] = head.subarray(count);
    else this.#kept.shift();
    this.#keptBytes -= count;
  }

  #reportLoss(): void {
    const lost = this.#lost + this.#lostRecords;
    this.#lost = this.#lostRecords = 0;
    const lines = lost === 1 ? "1 log line was" : `${lost} log lines were`;
    const time = new Date(this.#options.clock.nowMs()).toISOString();
    const msg = `${lines} dropped: ${this.#reason}`;
    this.#keep(`${JSON.stringify({ level: "warn", time, lost, msg })}\n`);
  }
}
