/** What the bench needs to know of a way from one machine to the other, and starting one. One runs at a time. */
import type { Bench } from "../../bench.ts";
import { findProgram, waitFor } from "../../process.ts";
import { type End, type Link, runIn } from "../link.ts";
import type { ContestantName } from "../names.ts";

const TUNNEL_DEADLINE_MS = 15_000;

/** It cannot be had here, or not in this version: told, and no failure of the bench. */
export class NotAvailableError extends Error {}

export interface Contestant {
  readonly name: ContestantName;
  /** What it carries for the workloads it takes part in cannot be read on the cable; this is made sure of. */
  readonly isEncrypted: boolean;
  /** Why it cannot run on this machine; undefined if it can. */
  unavailable(): string | undefined;
  /** Resolves when traffic passes. @throws NotAvailableError, or an Error with what it complained of */
  start(bench: Bench, link: Link): Promise<RunningContestant>;
}

export interface Endpoint {
  readonly address: string;
  readonly port: number;
}

export interface RunningContestant {
  /** Whose CPU time is the contestant's, on both machines; [] where the kernel does it all. */
  readonly pids: readonly number[];
  /** Whether one of its processes has ended; undefined while all run. */
  failure(): string | undefined;
  /** Where a client on the left reaches port `taskPort` of the right machine's tunnel address; null without a tunnel. */
  tunnel(taskPort: number): Endpoint | null;
  /** The same through whatever the contestant publishes ports with; the tunnel where it publishes none. */
  published(taskPort: number): Endpoint;
  stop(): Promise<void>;
}

/** Where tasks on the right machine listen. */
export const TASK_PORTS = { iperf3: 5201, exchange: 5202 } as const;

/** What is missing of these programs, with the Debian package that has it; undefined when nothing is. */
export function lacking(packages: Readonly<Record<string, string>>): string | undefined {
  const missing = Object.entries(packages).filter(([program]) => findProgram(program) === undefined);
  if (missing.length === 0) return undefined;
  return missing.map(([program, name]) => `${program} is not installed (Debian package ${name})`).join(", ");
}

/** Waits until the right machine answers a ping at its tunnel address. */
export async function waitForTunnel(
  link: Link,
  address: string,
  failure: () => string | undefined,
): Promise<void> {
  await waitFor(`an answer from ${address}`, TUNNEL_DEADLINE_MS, () => {
    const reason = failure();
    if (reason !== undefined) throw new Error(reason);
    return answers(link.left, address);
  });
}

function answers(end: End, address: string): boolean {
  try {
    runIn(end, ["ping", "-c", "1", "-W", "1", address]);
    return true;
  } catch {
    return false;
  }
}
