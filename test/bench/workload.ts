/**
 * The nouns of the bench: a *workload* is one kind of traffic, a *subject* is what it runs through (a proxy, or
 * nothing at all for the reference), a *metric* is one number it yields, a *sample* is one round's numbers.
 */
import type { Bench } from "./bench.ts";

/** A pair is two processes in a row: what comes in at the first leaves by the second. */
export const subjectNames = [
  "direct",
  "haproxy",
  "haproxy-splice",
  "haproxy-pair",
  "nginx",
  "portmesh",
  "portmesh-pair",
] as const;
export type SubjectName = (typeof subjectNames)[number];

/** Who takes part where nodes are two; the single portmesh shows what the second costs. */
export const meshSubjects: readonly SubjectName[] = ["direct", "haproxy-pair", "portmesh", "portmesh-pair"];

export const workloadNames = [
  "bulk-1",
  "bulk-8",
  "keep-alive",
  "one-shot",
  "dns-1",
  "dns-10",
  "dns-32",
  "memory",
  "start-up",
  "mesh-bulk",
  "mesh-keep-alive",
  "mesh-one-shot",
  "mesh-latency",
] as const;
export type WorkloadName = (typeof workloadNames)[number];

/** What `--only` takes for several workloads at once. */
export const workloadGroups: Readonly<Record<string, readonly WorkloadName[]>> = {
  /** Two nodes: entry and exit. */
  mesh: ["mesh-bulk", "mesh-keep-alive", "mesh-one-shot", "mesh-latency"],
};

export interface Metric {
  readonly key: string;
  /** Column title, unit included. */
  readonly label: string;
  readonly better: "more" | "less";
  readonly digits: number;
  /** Drawn in the picture and compared with the baseline in the tables. */
  readonly isCompared: boolean;
}

/** Values by metric key. A key is absent where it has no meaning (the reference row has no proxy CPU). */
export type Sample = Readonly<Record<string, number>>;

export interface Measurement {
  readonly sample: Sample;
  /** What went wrong without making the sample worthless, for example requests that failed. */
  readonly failures: readonly string[];
}

export interface Workload {
  readonly name: WorkloadName;
  readonly title: string;
  /** The first is the one whose spread over the rounds is shown. */
  readonly metrics: readonly Metric[];
  readonly subjects: readonly SubjectName[];
  /** Programs without which it cannot run. */
  readonly tools: readonly string[];
  /** Rounds below which the median says little; `--quick` ignores it. */
  readonly minRounds: number;
  open(bench: Bench, subjects: readonly SubjectName[], workers: number): Promise<OpenWorkload>;
}

/** A workload whose targets (and, for load, proxies) are running. */
export interface OpenWorkload {
  /** Subjects that could not be started, with the reason. */
  readonly broken: ReadonlyMap<SubjectName, string>;
  /** One discarded run. Absent where every sample is taken on a fresh process. */
  warmUp?(subject: SubjectName): Promise<unknown>;
  measure(subject: SubjectName): Promise<Measurement>;
  close(): Promise<void>;
}
