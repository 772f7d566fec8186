/** The two processes of a contestant, one on each machine, as one. */
import type { Bench } from "../../bench.ts";
import type { Child } from "../../process.ts";
import type { End, Link } from "../link.ts";
import { type RunningContestant, waitForTunnel } from "./contestant.ts";

export interface ProcessPair {
  readonly pids: readonly number[];
  failure(): string | undefined;
  stop(): Promise<void>;
}

/** @param commandOf what runs at each end, in the foreground */
export function startPair(
  bench: Bench,
  link: Link,
  name: string,
  commandOf: (end: End) => readonly string[],
): ProcessPair {
  const children = link.ends.map((end) => {
    const log = bench.path(`${name}-${end.side}.log`);
    return bench.children.start([...end.wrapper, ...commandOf(end)], log);
  });
  return {
    pids: children.map((child) => child.pid),
    failure: () => firstFailure(name, children),
    async stop() {
      await Promise.all(children.map((child) => child.stop()));
    },
  };
}

/** A tunnel that two processes make, once it passes traffic. Ends them when it never does. */
export async function tunnelOf(link: Link, pair: ProcessPair, address: string): Promise<RunningContestant> {
  try {
    await waitForTunnel(link, address, pair.failure);
  } catch (error) {
    await pair.stop();
    throw error;
  }
  const tunnel = (port: number) => ({ address, port });
  return { ...pair, tunnel, published: tunnel };
}

function firstFailure(name: string, children: readonly Child[]): string | undefined {
  const ended = children.find((child) => child.hasExited);
  return ended && `${name} ended: ${ended.complaint()}`;
}
