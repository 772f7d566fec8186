/** One probe of a task, at all the addresses that its name has. */
import type { Check, ExecCheck } from "../../model/index.ts";
import { down, type ProbeResult } from "../probe-result.ts";
import { type ProbeTarget, reasonOf } from "./connection.ts";
import { type ExecTask, probeExec } from "./exec.ts";
import { probeHttp } from "./http.ts";
import { probeSendExpect } from "./send-expect.ts";
import { probeTcp } from "./tcp.ts";
import { probeUdp } from "./udp.ts";

/** Of one name: more would be probes of one task without end. */
const MAX_ADDRESSES = 8;

/**
 * The task is up when one of its addresses is: the proxy itself passes over those that do not accept.
 * @param addresses literal ones; [] while its name has none
 */
export async function probeTask(
  check: Check,
  task: ExecTask,
  addresses: readonly string[],
  signal: AbortSignal,
): Promise<ProbeResult> {
  if (check.type === "exec") return probeExec(check, task, signal);
  const { port } = task;
  if (addresses.length === 0) return down("its name has no address");
  const probes = addresses
    .slice(0, MAX_ADDRESSES)
    .map((address) => orFailure(probeAddress(check, { address, port }, signal)));
  return Promise.race([firstUp(probes), bestOf(probes)]);
}

function orFailure(probe: Promise<ProbeResult>): Promise<ProbeResult> {
  return probe.catch((error) => down(reasonOf(error)));
}

/** Never resolves when none is. */
function firstUp(probes: readonly Promise<ProbeResult>[]): Promise<ProbeResult> {
  return new Promise((resolve) => {
    for (const probe of probes)
      void probe.then((result) => {
        if (result.outcome === "up") resolve(result);
      });
  });
}

async function bestOf(probes: readonly Promise<ProbeResult>[]): Promise<ProbeResult> {
  const results = await Promise.all(probes);
  return results.find(({ outcome }) => outcome !== "down") ?? results[0]!;
}

function probeAddress(
  check: Exclude<Check, ExecCheck>,
  target: ProbeTarget,
  signal: AbortSignal,
): Promise<ProbeResult> {
  switch (check.type) {
    case "tcp":
      return probeTcp(target, signal);
    case "http":
      return probeHttp(check, target, signal);
    case "send-expect":
      return probeSendExpect(check, target, signal);
    case "udp":
      return probeUdp(check, target, signal);
  }
}
