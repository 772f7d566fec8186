/**
 * Writes a line for every connection record that arrives, in batches, up to so many a second. What is left out is counted,
 * and the log says how many and why, once a second at most. What the reader of the log does not take is dropped and
 * counted by the log itself.
 */
import type { ConnectionRecord, RecordSink } from "../../proxy/index.ts";
import type { Clock } from "../../sys/clock.ts";
import type { Log } from "../log.ts";
import { haproxyFormat } from "./haproxy-format.ts";
import { jsonFormat } from "./json-format.ts";
import { KnownTasks } from "./known-tasks.ts";
import { prettyFormat } from "./pretty-format.ts";

const SECOND_MS = 1_000;
/** Written at once. */
const BATCH_CHARACTERS = 60_000;

export type RecordFormat = "json" | "pretty" | "haproxy";

export interface ConnectionLogSettings {
  readonly format: RecordFormat;
  /** Lines per second at most. */
  readonly rate: number;
}

export interface ConnectionLogOptions extends ConnectionLogSettings {
  readonly log: Pick<Log, "writeRecords" | "warn">;
  /** Monotonic. */
  readonly clock: Clock;
  /** Name of this node. */
  readonly self: string;
}

/** Records left out, by reason. */
interface Suppressed {
  overRate: number;
  unread: number;
}

export class ConnectionLog implements RecordSink {
  readonly #options: ConnectionLogOptions;
  readonly #tasks: KnownTasks;
  #settings: ConnectionLogSettings;
  #format: (record: ConnectionRecord) => string;
  /** Lines that may still be written in the second that began at #secondMs. */
  #left: number;
  #secondMs: number;
  #batch = "";
  #batchLines = 0;
  #suppressed: Suppressed = { overRate: 0, unread: 0 };
  #isSummaryDue = false;

  constructor(options: ConnectionLogOptions) {
    this.#options = options;
    this.#tasks = new KnownTasks(options.self);
    this.#settings = options;
    this.#format = this.#formatter();
    this.#left = options.rate;
    this.#secondMs = options.clock.nowMs();
  }

  set settings(settings: ConnectionLogSettings) {
    this.flush();
    this.#settings = settings;
    this.#format = this.#formatter();
  }

  readonly admit = (): boolean => {
    if (this.#left > 0 || this.#refill()) {
      this.#left--;
      return true;
    }
    this.#suppress("overRate", 1);
    return false;
  };

  readonly add = (record: ConnectionRecord): void => {
    this.#batch += this.#format(record);
    this.#batchLines++;
    if (this.#batch.length >= BATCH_CHARACTERS) this.flush();
  };

  readonly onLost = (records: number): void => this.#suppress("unread", records);

  readonly flush = (): void => {
    if (this.#batchLines === 0) return;
    this.#options.log.writeRecords(this.#batch, this.#batchLines);
    this.#batch = "";
    this.#batchLines = 0;
  };

  /** Writes what is left, with the count of what is not; nothing comes after it. */
  close(): void {
    this.flush();
    this.#sumUp();
  }

  #formatter(): (record: ConnectionRecord) => string {
    const { format } = this.#settings;
    if (format === "haproxy") return haproxyFormat(this.#tasks);
    return format === "pretty" ? prettyFormat(this.#tasks) : jsonFormat(this.#options.self, this.#tasks);
  }

  #refill(): boolean {
    const nowMs = this.#options.clock.nowMs();
    if (nowMs - this.#secondMs < SECOND_MS) return false;
    this.#secondMs = nowMs;
    this.#left = this.#settings.rate;
    return true;
  }

  #suppress(reason: keyof Suppressed, records: number): void {
    this.#suppressed[reason] += records;
    if (this.#isSummaryDue) return;
    this.#isSummaryDue = true;
    this.#options.clock.after(SECOND_MS, () => this.#sumUp());
  }

  #sumUp(): void {
    this.#isSummaryDue = false;
    const { overRate, unread } = this.#suppressed;
    const suppressed = overRate + unread;
    if (suppressed === 0) return;
    this.#suppressed = { overRate: 0, unread: 0 };
    const reasons = [
      overRate > 0 ? `${overRate} over log.connection_rate (${this.#settings.rate} a second)` : "",
      unread > 0 ? `${unread} because the node was too busy` : "",
    ].filter((reason) => reason !== "");
    const records = suppressed === 1 ? "1 connection record" : `${suppressed} connection records`;
    this.#options.log.warn({ suppressed }, `${records} left out: ${reasons.join(", ")}`);
  }
}
