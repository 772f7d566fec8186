/** Where nodes take relays. */
import type { OverlayRecord } from "../../catalog/index.ts";
import { echoPort, type RelayPorts } from "../../overlay/index.ts";

/** Inside the overlay, of a node with a driver. */
export function relayPortsAt(tcpPort: number, overlayPort: number): RelayPorts {
  return {
    tcp: tcpPort,
    udp: [udpPortOf({ driver: "kernel", port: overlayPort }), echoPort(overlayPort)],
  };
}

/** Where a driver holds the overlay's port, UDP relays take the next one. */
export function udpPortOf({ driver, port }: Pick<OverlayRecord, "driver" | "port">): number {
  return driver === "none" ? port : port + 1;
}
