/** One workload through one contestant that is up: the task on the right, the client on the left, and what it took. */
import type { Bench } from "../bench.ts";
import { cpuSeconds, findProgram, waitFor } from "../process.ts";
import { exchangeClient, exchangeServer, parseExchange } from "../tools/exchange.ts";
import { parseIperf3 } from "../tools/iperf3.ts";
import type { Measurement, Sample } from "../workload.ts";
import { type Endpoint, type RunningContestant, TASK_PORTS } from "./contestants/contestant.ts";
import { type End, type Link, runIn } from "./link.ts";
import { busySeconds } from "./processor-time.ts";
import type { OverlayWorkload, Traffic } from "./workloads.ts";

const TASK_START_DEADLINE_MS = 10_000;
/** Latencies are those of programs that run for months: a runtime that compiles while it runs does so for seconds. */
const WARM_UP_SECONDS = { bulk: 1, exchange: 5 } as const;

export interface Site {
  readonly bench: Bench;
  readonly link: Link;
}

/** What a client reports. */
interface Outcome {
  readonly sample: Sample;
  /** 10⁹ bytes that arrived, in both directions. */
  readonly gigabytes: number;
}

/** The link has the workload's loss already. @throws Error when there is nothing to report */
export async function measureOverlay(
  site: Site,
  contestant: RunningContestant,
  workload: OverlayWorkload,
  seconds: number,
): Promise<Measurement> {
  await transferOverlay(site, contestant, workload, WARM_UP_SECONDS[workload.traffic.kind]);
  const { sample, gigabytes, machineSeconds, processSeconds } = await transferOverlay(
    site,
    contestant,
    workload,
    seconds,
  );
  const reason = contestant.failure();
  if (reason !== undefined) throw new Error(reason);
  const cpu = {
    cpu: machineSeconds / gigabytes,
    ...(contestant.pids.length > 0 && { processCpu: processSeconds / gigabytes }),
  };
  return { sample: { ...sample, ...cpu }, failures: workload.lossPerMille > 0 ? wrongLosses(site.link) : [] };
}

interface Cost {
  readonly machineSeconds: number;
  readonly processSeconds: number;
}

/** A new task each time: an iperf3 that lost its control connection would refuse the next as busy. */
export async function transferOverlay(
  { bench, link }: Site,
  contestant: RunningContestant,
  { via, traffic }: Pick<OverlayWorkload, "via" | "traffic">,
  seconds: number,
): Promise<Outcome & Cost> {
  const taskPort = traffic.kind === "bulk" ? TASK_PORTS.iperf3 : TASK_PORTS.exchange;
  const endpoint = via === "tunnel" ? contestant.tunnel(taskPort) : contestant.published(taskPort);
  if (endpoint === null) throw new Error("it has no tunnel");
  const command = [...link.right.wrapper, ...taskOf(traffic, taskPort)];
  const task = bench.children.start(command, bench.path("task.log"));
  try {
    await waitFor("start of the task", TASK_START_DEADLINE_MS, () => isListening(link.right, taskPort));
    const client = [...link.left.wrapper, ...clientOf(traffic, endpoint, seconds)];
    const before = costSoFar(contestant);
    const stdout = await bench.children.run(client, (seconds + 1) * 1000);
    const after = costSoFar(contestant);
    return {
      ...outcomeOf(traffic, stdout),
      machineSeconds: after.machineSeconds - before.machineSeconds,
      processSeconds: after.processSeconds - before.processSeconds,
    };
  } finally {
    await task.stop();
  }
}

function costSoFar({ pids }: RunningContestant): Cost {
  const processSeconds = pids.reduce((sum, pid) => sum + cpuSeconds(pid), 0);
  return { machineSeconds: busySeconds(), processSeconds };
}

function taskOf(traffic: Traffic, port: number): string[] {
  if (traffic.kind === "exchange") return exchangeServer(port, traffic.messageBytes);
  return [findProgram("iperf3")!, "--server", "--one-off", "--port", String(port)];
}

function clientOf(traffic: Traffic, { address, port }: Endpoint, seconds: number): string[] {
  if (traffic.kind === "exchange") return exchangeClient({ ...traffic, address, port, seconds });
  const target = ["--client", address, "--port", String(port), "--json"];
  return [
    findProgram("iperf3")!,
    ...target,
    "--parallel",
    String(traffic.streams),
    "--time",
    String(seconds),
  ];
}

function outcomeOf(traffic: Traffic, stdout: string): Outcome {
  if (traffic.kind === "bulk") {
    const { gigabitsPerSecond, gigabytes } = parseIperf3(stdout);
    return { sample: { rate: gigabitsPerSecond }, gigabytes };
  }
  const { exchanges, untimedExchanges, seconds, p50Us, p99Us } = parseExchange(stdout);
  const perSecond = exchanges / seconds;
  const gigabytesOf = (count: number) => (count * traffic.messageBytes) / 1e9;
  return {
    sample: { rate: gigabytesOf(perSecond) * 8, exchanges: perSecond, p50: p50Us, p99: p99Us },
    gigabytes: 2 * gigabytesOf(exchanges + untimedExchanges),
  };
}

/** Datagrams were to be lost one by one, and to be lost at all. */
function wrongLosses(link: Link): string[] {
  const arrivals = link.ends.map((end) => link.arrivals(end));
  const oversized = arrivals.reduce((sum, end) => sum + end.oversized, 0);
  const lost = arrivals.reduce((sum, end) => sum + end.lost, 0);
  return [
    ...(oversized > 0 ? [`${oversized} packets came longer than the MTU`] : []),
    ...(lost === 0 ? ["no packet was lost"] : []),
  ];
}

function isListening(end: End, port: number): boolean {
  return runIn(end, ["ss", "-Hltn", `sport = :${port}`]) !== "";
}
