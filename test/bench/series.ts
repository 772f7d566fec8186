/**
 * One workload, all subjects, in interleaved rounds (A B C A B C …), so that a machine that slows down for a
 * while slows all of them. A subject whose measurement failed outright is left out of the remaining rounds.
 */
import type { Bench } from "./bench.ts";
import { medianSample } from "./statistics.ts";
import type { OpenWorkload, Sample, SubjectName, Workload, WorkloadName } from "./workload.ts";

export interface SubjectResult {
  readonly subject: SubjectName;
  /** One per round. */
  readonly samples: readonly Sample[];
  readonly median: Sample;
}

export interface SeriesResult {
  readonly workload: WorkloadName;
  readonly workers: number;
  readonly subjects: readonly SubjectResult[];
  readonly failures: readonly string[];
}

export interface Series {
  readonly workload: Workload;
  readonly workers: number;
  readonly subjects: readonly SubjectName[];
  readonly rounds: number;
}

export type Progress = (message: string) => void;

export async function runSeries(bench: Bench, series: Series, progress: Progress): Promise<SeriesResult> {
  const run = new SeriesRun(series, progress);
  try {
    const open = await series.workload.open(bench, series.subjects, series.workers);
    try {
      await run.all(open);
    } finally {
      await open.close();
    }
  } catch (error) {
    run.fail(undefined, (error as Error).message);
  }
  return run.result();
}

class SeriesRun {
  readonly #samples: Map<SubjectName, Sample[]>;
  readonly #failures: string[] = [];
  #remaining: readonly SubjectName[];

  constructor(
    readonly series: Series,
    readonly progress: Progress,
  ) {
    this.#remaining = series.subjects;
    this.#samples = new Map(series.subjects.map((subject) => [subject, []]));
  }

  async all(open: OpenWorkload): Promise<void> {
    for (const [subject, reason] of open.broken) this.#drop(subject, reason);
    if (open.warmUp)
      await this.#eachSubject("warm-up", async (subject) => void (await open.warmUp!(subject)));
    for (let round = 1; round <= this.series.rounds; round++) {
      const name = `round ${round}/${this.series.rounds}`;
      await this.#eachSubject(name, (subject) => this.#measure(open, subject, name));
    }
  }

  fail(subject: SubjectName | undefined, reason: string): void {
    const { workload, workers } = this.series;
    const place = [workload.name, workers > 1 ? `${workers} workers` : undefined, subject];
    const message = `${place.filter(Boolean).join(", ")}: ${reason}`;
    this.#failures.push(message);
    this.progress(`FAILED ${message}`);
  }

  result(): SeriesResult {
    const subjects = [...this.#samples]
      .filter(([, samples]) => samples.length > 0)
      .map(([subject, samples]) => ({ subject, samples, median: medianSample(samples) }));
    return {
      workload: this.series.workload.name,
      workers: this.series.workers,
      subjects,
      failures: this.#failures,
    };
  }

  async #eachSubject(step: string, work: (subject: SubjectName) => Promise<void>): Promise<void> {
    for (const subject of this.#remaining) {
      try {
        await work(subject);
      } catch (error) {
        this.#drop(subject, `${step}: ${(error as Error).message}`);
      }
    }
  }

  async #measure(open: OpenWorkload, subject: SubjectName, round: string): Promise<void> {
    const { sample, failures } = await open.measure(subject);
    this.#samples.get(subject)!.push(sample);
    this.progress(`${this.series.workload.name} ${round} ${subject}: ${this.#describe(sample)}`);
    for (const failure of failures) this.fail(subject, `${round}: ${failure}`);
  }

  #drop(subject: SubjectName, reason: string): void {
    this.#remaining = this.#remaining.filter((other) => other !== subject);
    this.fail(subject, reason);
  }

  #describe(sample: Sample): string {
    return this.series.workload.metrics
      .filter((metric) => sample[metric.key] !== undefined)
      .map((metric) => `${sample[metric.key]!.toFixed(metric.digits)} ${metric.label}`)
      .join(", ");
  }
}
