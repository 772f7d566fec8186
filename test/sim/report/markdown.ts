/** The report as text. Pure. */
import type { CrashResult } from "./crash.ts";
import { PAUSE_MEMBERS, type PauseResult } from "./pauses.ts";

export interface Report {
  /** Seed of run i is this plus i. */
  readonly firstSeed: number;
  readonly crashes: readonly CrashResult[];
  /** Pairs: without and with Lifeguard. */
  readonly pauses: readonly (readonly [PauseResult, PauseResult])[];
  readonly pauseRuns: number;
}

/** Of an independent event simulation of memberlist's LAN values: p50 and p99 in seconds, spread p50. */
const EXPECTED: Readonly<Record<number, string>> = {
  8: "1.7 / 4.9 · 5.7 / 8.9 · 5.8 / 9.5 · 0.11",
  16: "1.8 / 5.2 · 6.6 / 10.1 · 6.7 / 10.2 · 0.18",
  32: "1.8 / 5.8 · 7.8 / 11.8 · 8.0 / 12.1 · 0.25",
  64: "1.7 / 4.5 · 8.9 / 11.8 · 9.2 / 12.1 · 0.30",
  128: "1.8 / 5.5 · 10.2 / 13.9 · 10.6 / 14.4 · 0.38",
  256: "1.6 / 4.5 · 11.2 / 14.1 · 11.6 / 14.6 · 0.43",
};

export function toMarkdown(report: Report): string {
  return `# Membership in virtual time

Seeds from ${report.firstSeed} on, one for each run; the same seeds give the same report. LAN profile, 1 ms one way, no loss.

## One member crashes

Seconds after the crash, p50 / p99. Packets sent per member and second, after the crash and when nothing happens. The
last column is the prediction of a separate model of memberlist, in the same order. Clusters of more than 256 members
are simulated without push/pull.

| members | runs | first suspicion | first declared failed | all know | spread | packets/s | idle | predicted |
| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |
${report.crashes.map(crashRow).join("\n")}

![latencies](crash.svg)

## Slow members

For one minute the messages of C of ${PAUSE_MEMBERS} members, sent and received, are held back for D at a time; their timers keep running. False
deaths: how often one member declares another failed although none has crashed. "Of healthy": false deaths of
members that were never slow. SWIM: fixed suspicion time, no health score, no buddy system. ${report.pauseRuns} runs each.

| C | D | SWIM: all | of healthy | Lifeguard: all | of healthy | ratio of healthy | packets/s, SWIM → Lifeguard |
| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
${report.pauses.map(pauseRow).join("\n")}

![false deaths](pauses.svg)
`;
}

function crashRow(result: CrashResult): string {
  const seconds = (ms: number) => (ms / 1000).toFixed(1);
  const cell = ({ p50, p99 }: CrashResult["spreadMs"]) => `${seconds(p50)} / ${seconds(p99)}`;
  return `| ${[
    result.members,
    result.runs,
    cell(result.firstSuspectMs),
    cell(result.firstDeadMs),
    cell(result.allKnowMs),
    (result.spreadMs.p50 / 1000).toFixed(2),
    result.packetsPerMemberSecond.toFixed(1),
    result.idlePacketsPerMemberSecond.toFixed(1),
    EXPECTED[result.members] ?? "–",
  ].join(" | ")} |`;
}

function pauseRow([swim, lifeguard]: readonly [PauseResult, PauseResult]): string {
  return `| ${[
    swim.paused,
    `${swim.pauseMs / 1000} s`,
    swim.falseDeaths,
    swim.falseDeathsOfHealthy,
    lifeguard.falseDeaths,
    lifeguard.falseDeathsOfHealthy,
    ratio(swim.falseDeathsOfHealthy, lifeguard.falseDeathsOfHealthy),
    `${swim.packetsPerMemberSecond.toFixed(1)} → ${lifeguard.packetsPerMemberSecond.toFixed(1)}`,
  ].join(" | ")} |`;
}

function ratio(swim: number, lifeguard: number): string {
  if (swim === 0) return "–";
  return lifeguard === 0 ? `> ${swim}` : (swim / lifeguard).toFixed(1);
}
