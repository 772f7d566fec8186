/**
 * All workloads through all contestants, in interleaved rounds: in each round every contestant is started, measured and
 * ended before the next, because they share one cable, one address plan and the port of VXLAN. What fails in one round
 * is left out of the following ones.
 */
import type { Bench } from "../bench.ts";
import { medianSample } from "../statistics.ts";
import type { Sample } from "../workload.ts";
import { type Contestant, NotAvailableError, type RunningContestant } from "./contestants/contestant.ts";
import { contestants } from "./contestants/index.ts";
import type { Link } from "./link.ts";
import { measureOverlay, type Site } from "./measure.ts";
import type { ContestantName, OverlayWorkloadName } from "./names.ts";
import { isReadable } from "./secrecy.ts";
import { type OverlayWorkload, overlayWorkloads } from "./workloads.ts";

export interface ContestantResult {
  readonly contestant: ContestantName;
  /** One per round. */
  readonly samples: readonly Sample[];
  readonly median: Sample;
}

export interface OverlayResult {
  readonly workload: OverlayWorkloadName;
  readonly contestants: readonly ContestantResult[];
}

/** A contestant that cannot run here, and why. */
export interface Absence {
  readonly contestant: ContestantName;
  readonly reason: string;
}

export interface OverlayOutcome {
  readonly results: readonly OverlayResult[];
  readonly absences: readonly Absence[];
  readonly failures: readonly string[];
}

export interface OverlayPlan {
  readonly workloads: readonly OverlayWorkloadName[];
  readonly contestants: readonly ContestantName[];
  readonly rounds: number;
  readonly seconds: number;
}

type Progress = (message: string) => void;

export async function runOverlay(
  bench: Bench,
  link: Link,
  plan: OverlayPlan,
  progress: Progress,
): Promise<OverlayOutcome> {
  const run = new OverlayRun(bench, link, plan, progress);
  await run.all();
  return run.outcome();
}

class OverlayRun {
  /** By workload and contestant. */
  readonly #samples = new Map<OverlayWorkloadName, Map<ContestantName, Sample[]>>();
  readonly #absences: Absence[] = [];
  readonly #failures: string[] = [];
  /** Of what is not tried again: "nebula", "nebula tunnel-1". */
  readonly #dropped = new Set<string>();

  constructor(
    readonly bench: Bench,
    readonly link: Link,
    readonly plan: OverlayPlan,
    readonly progress: Progress,
  ) {
    for (const workload of plan.workloads) this.#samples.set(workload, new Map());
  }

  async all(): Promise<void> {
    for (const name of this.plan.contestants) {
      const reason = contestants[name].unavailable();
      if (reason !== undefined) this.#isAbsent(name, reason);
    }
    for (let round = 1; round <= this.plan.rounds; round++)
      for (const name of this.plan.contestants)
        if (!this.#dropped.has(name)) await this.#turn(contestants[name], round);
  }

  outcome(): OverlayOutcome {
    const results = [...this.#samples].map(([workload, byContestant]) => ({
      workload,
      contestants: [...byContestant].map(([contestant, samples]) => {
        return { contestant, samples, median: medianSample(samples) };
      }),
    }));
    return { results, absences: this.#absences, failures: this.#failures };
  }

  get #site(): Site {
    return { bench: this.bench, link: this.link };
  }

  /** One contestant in one round. */
  async #turn(contestant: Contestant, round: number): Promise<void> {
    const { name } = contestant;
    const workloads = this.plan.workloads
      .map((workload) => overlayWorkloads[workload])
      .filter((workload) => workload.contestants.includes(name))
      .filter((workload) => !this.#dropped.has(`${name} ${workload.name}`));
    if (workloads.length === 0) return;
    try {
      const running = await contestant.start(this.bench, this.link);
      try {
        if (round === 1) await this.#checkSecrecy(contestant, running, workloads);
        for (const workload of workloads) await this.#measure(name, running, workload, round);
      } finally {
        await running.stop();
      }
    } catch (error) {
      if (error instanceof NotAvailableError) this.#isAbsent(name, error.message);
      else this.#drop(name, (error as Error).message);
    } finally {
      this.link.reset();
    }
  }

  async #checkSecrecy(
    { isEncrypted }: Contestant,
    running: RunningContestant,
    workloads: readonly OverlayWorkload[],
  ): Promise<void> {
    for (const via of new Set(workloads.map((workload) => workload.via))) {
      const wasRead = await isReadable(this.#site, running, via);
      if (wasRead && isEncrypted)
        throw new Error(`its ${via} is to be encrypted and can be read on the cable`);
      if (!wasRead && !isEncrypted) throw new Error(`its ${via} is in clear and cannot be read on the cable`);
    }
  }

  async #measure(
    name: ContestantName,
    running: RunningContestant,
    workload: OverlayWorkload,
    round: number,
  ): Promise<void> {
    const place = `${name} ${workload.name}`;
    try {
      this.link.setLoss(workload.lossPerMille);
      const { sample, failures } = await measureOverlay(this.#site, running, workload, this.plan.seconds);
      const samples = this.#samples.get(workload.name)!;
      samples.set(name, [...(samples.get(name) ?? []), sample]);
      this.progress(`overlay ${round}/${this.plan.rounds} ${place}: ${describe(workload, sample)}`);
      for (const failure of failures) this.#fail(`${place}: ${failure}`);
    } catch (error) {
      this.#drop(place, (error as Error).message);
    }
  }

  #isAbsent(contestant: ContestantName, reason: string): void {
    this.#dropped.add(contestant);
    this.#absences.push({ contestant, reason });
    this.progress(`not available: ${contestant}: ${reason}`);
  }

  #drop(place: string, reason: string): void {
    this.#dropped.add(place);
    this.#fail(`${place}: ${reason}`);
  }

  #fail(message: string): void {
    this.#failures.push(`overlay, ${message}`);
    this.progress(`FAILED overlay, ${message}`);
  }
}

function describe({ metrics }: OverlayWorkload, sample: Sample): string {
  return metrics
    .filter(({ key }) => sample[key] !== undefined)
    .map(({ key, label, digits }) => `${sample[key]!.toFixed(digits)} ${label}`)
    .join(", ");
}
