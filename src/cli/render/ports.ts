/** Published ports as a person reads them: neighbours become ranges. */
import { collapsePorts, formatRange, type PortSpec } from "../../model/index.ts";

/** ["8080:80/tcp", "30000-30009:30000-30009/udp", "53:53/udp (host)"] */
export function formatPorts(ports: readonly PortSpec[]): string[] {
  const byMode = (mode: PortSpec["mode"]) =>
    collapsePorts(ports.filter((port) => port.mode === mode)).map(formatRange);
  return [...byMode("ingress"), ...byMode("host").map((range) => `${range} (host)`)];
}

/** As `docker service ls` shows them: "*:8080->80/tcp, *:53->53/udp". */
export function formatDockerPorts(ports: readonly PortSpec[]): string {
  return formatPorts(ports)
    .map((text) => `*:${text.replace(":", "->").replace(" (host)", "")}`)
    .join(", ");
}
