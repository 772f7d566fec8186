/** The task accepts a connection. */
import { type ProbeResult, up } from "../probe-result.ts";
import { overConnection, type ProbeTarget } from "./connection.ts";

export function probeTcp(target: ProbeTarget, signal: AbortSignal): Promise<ProbeResult> {
  return overConnection(target, signal, (_socket, end) => end(up("connected")));
}
