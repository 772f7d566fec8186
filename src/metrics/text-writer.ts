/**
 * Writes metrics in the text format of Prometheus (version 0.0.4) or as OpenMetrics 1.0, straight into bytes: a table of
 * ten thousand tasks has a quarter of a million lines. All samples of a family follow each other.
 *
 *     # HELP portmesh_task_connections Connections and UDP sessions with the task.
 *     # TYPE portmesh_task_connections counter
 *     portmesh_task_connections_total{service="web",task="a"} 12
 *
 * The formats differ in the first two lines of a counter, which have `_total` in the older one, in the escapes of help
 * texts, and in the last line.
 */
import type { Format } from "./format.ts";

/** What `take` is worth calling for. */
const CHUNK_BYTES = 256 * 1024;
/** Room behind it: a row of a histogram with the longest names. */
const SPARE_BYTES = 64 * 1024;

/** Larger numbers lose their last digit when they are taken apart. */
const MAX_BY_DIGITS = 1e15;
const ZERO = 48;
const NEWLINE = 10;
const encoder = new TextEncoder();
const TOTAL = "_total";
const END_OF_LABELS = encoder.encode("} ");
const SPACE = encoder.encode(" ");

export interface Family {
  /** A counter's ends in _total. */
  readonly name: string;
  readonly type: "counter" | "gauge" | "histogram";
  readonly help: string;
}

/** Upper bounds in seconds, ascending; the last one is Infinity. */
export type Bounds = readonly number[];

export class TextWriter {
  #bytes = new Uint8Array(CHUNK_BYTES + SPARE_BYTES);
  #at = 0;
  /** What the lines of the family begin with. */
  #name: Uint8Array = SPACE;
  #bucket: Uint8Array = SPACE;
  #sum: Uint8Array = SPACE;
  #count: Uint8Array = SPACE;

  constructor(readonly format: Format) {}

  /** It is time for `take`. */
  get isFull(): boolean {
    return this.#at >= CHUNK_BYTES;
  }

  /** What has been written since the last call; valid until the next line is. */
  take(): Uint8Array {
    const taken = this.#bytes.subarray(0, this.#at);
    this.#at = 0;
    return taken;
  }

  family({ name, type, help }: Family): void {
    const isShort = this.format === "openmetrics" && type === "counter" && name.endsWith(TOTAL);
    const shown = isShort ? name.slice(0, -TOTAL.length) : name;
    this.#write(encoder.encode(`# HELP ${shown} ${this.#escapeHelp(help)}\n# TYPE ${shown} ${type}\n`));
    this.#name = encoder.encode(name);
    this.#bucket = encoder.encode(`${name}_bucket`);
    this.#sum = encoder.encode(`${name}_sum`);
    this.#count = encoder.encode(`${name}_count`);
  }

  /** @param labels from `labelsOf` @param last from `lastLabel`; null: they are all */
  sample(labels: Uint8Array, value: number, last: Uint8Array | null = null): void {
    this.#line(this.#name, labels, last ?? END_OF_LABELS, value);
  }

  /** Without labels. */
  bareSample(value: number): void {
    this.#line(this.#name, SPACE, null, value);
  }

  /**
   * @param counts of each bucket alone, from `at` on
   * @param buckets `bucketLabels`
   * @param sum in seconds
   */
  histogram(
    labels: Uint8Array,
    counts: Float64Array,
    at: number,
    buckets: readonly Uint8Array[],
    sum: number,
  ): void {
    let count = 0;
    for (let bucket = 0; bucket < buckets.length; bucket++) {
      count += counts[at + bucket]!;
      this.#line(this.#bucket, labels, buckets[bucket]!, count);
    }
    this.#line(this.#sum, labels, END_OF_LABELS, sum);
    this.#line(this.#count, labels, END_OF_LABELS, count);
  }

  /** After the last family. */
  end(): void {
    if (this.format === "openmetrics") this.#write(encoder.encode("# EOF\n"));
  }

  #line(name: Uint8Array, labels: Uint8Array, last: Uint8Array | null, value: number): void {
    this.#write(name);
    this.#write(labels);
    if (last !== null) this.#write(last);
    this.#writeNumber(value);
  }

  #write(bytes: Uint8Array): void {
    if (this.#at + bytes.length > this.#bytes.length) this.#grow(bytes.length);
    this.#bytes.set(bytes, this.#at);
    this.#at += bytes.length;
  }

  /** And the end of the line. Almost all are whole, and many are 0. */
  #writeNumber(value: number): void {
    if (!Number.isInteger(value) || value < 0 || value >= MAX_BY_DIGITS)
      return this.#write(encoder.encode(`${textOf(value)}\n`));
    let digits = 1;
    for (let limit = 10; value >= limit; limit *= 10) digits++;
    if (this.#at + digits >= this.#bytes.length) this.#grow(digits + 1);
    const end = this.#at + digits;
    for (let at = end - 1, rest = value; at >= this.#at; at--) {
      const tenth = Math.floor(rest / 10);
      this.#bytes[at] = ZERO + rest - tenth * 10;
      rest = tenth;
    }
    this.#bytes[end] = NEWLINE;
    this.#at = end + 1;
  }

  #grow(length: number): void {
    const bytes = new Uint8Array((this.#bytes.length + length) * 2);
    bytes.set(this.#bytes.subarray(0, this.#at));
    this.#bytes = bytes;
  }

  #escapeHelp(help: string): string {
    const escaped = help.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
    return this.format === "openmetrics" ? escaped.replaceAll('"', '\\"') : escaped;
  }
}

/** Labels that samples of many families have, made once. @param labels at least one */
export function labelsOf(labels: Readonly<Record<string, string | number>>): Uint8Array {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escapeLabel(String(value))}"`);
  return encoder.encode(`{${pairs.join(",")}`);
}

/** One more label behind those of `labelsOf`, made once. */
export function lastLabel(name: string, value: string): Uint8Array {
  return encoder.encode(`,${name}="${escapeLabel(value)}"} `);
}

export function bucketLabels(bounds: Bounds): Uint8Array[] {
  return bounds.map((bound) => lastLabel("le", textOf(bound)));
}

function escapeLabel(value: string): string {
  return value.replaceAll("\\", "\\\\").replaceAll("\n", "\\n").replaceAll('"', '\\"');
}

function textOf(value: number): string {
  if (value === Number.POSITIVE_INFINITY) return "+Inf";
  return value === Number.NEGATIVE_INFINITY ? "-Inf" : String(value);
}
