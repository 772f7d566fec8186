/** How reloads have gone since the start. */
import type { ReloadOutcome, ReloadReport } from "../reload-report.ts";

export class ReloadCounts {
  readonly total: Record<ReloadOutcome, number> = { applied: 0, unchanged: 0, refused: 0 };
  /** Of the last one; a node has started with a file that was right. */
  isLastSuccessful = true;
  lastSuccessMs: number;

  constructor(startedMs: number) {
    this.lastSuccessMs = startedMs;
  }

  add({ outcome, isDryRun, at }: Pick<ReloadReport, "outcome" | "isDryRun" | "at">): void {
    if (isDryRun) return;
    this.total[outcome]++;
    this.isLastSuccessful = outcome !== "refused";
    if (this.isLastSuccessful) this.lastSuccessMs = at;
  }
}
