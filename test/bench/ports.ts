/**
 * Ports for proxies and targets, and the question whether somebody listens on one. Both are answered from
 * /proc/net, without connecting: a probe connection would make a proxy dial a target that may not be there yet.
 */
import { readFileSync } from "node:fs";
import type { Protocol } from "./proxies/proxy.ts";

/** Below the kernel's usual range for outgoing connections, which load generators exhaust. */
const FIRST_PORT = 18_000;
const LAST_PORT = 32_000;

/** State column of /proc/net/tcp and udp (`include/net/tcp_states.h`): a bound UDP socket shows TCP_CLOSE. */
const TCP_LISTEN = "0A";
const UDP_BOUND = "07";

export class PortPool {
  #next = FIRST_PORT + Math.floor(Math.random() * 1000) * 10;

  /** A port that no socket of either protocol uses now. */
  take(): number {
    const used = new Set(
      ["tcp", "tcp6", "udp", "udp6"].flatMap((table) => sockets(table).map((s) => s.port)),
    );
    for (let tried = FIRST_PORT; tried < LAST_PORT; tried++) {
      const port = this.#next++;
      if (this.#next >= LAST_PORT) this.#next = FIRST_PORT;
      if (!used.has(port)) return port;
    }
    throw new Error(`cannot find a free port in ${FIRST_PORT}..${LAST_PORT}`);
  }
}

export function isListening(port: number, protocol: Protocol): boolean {
  const state = protocol === "tcp" ? TCP_LISTEN : UDP_BOUND;
  return [protocol, `${protocol}6`].some((table) =>
    sockets(table).some((socket) => socket.port === port && socket.state === state),
  );
}

/** `  0: 0100007F:1F90 00000000:0000 0A …`: slot, local address, remote address, state; numbers in hex. */
function sockets(table: string): { port: number; state: string }[] {
  return readTable(table)
    .split("\n")
    .slice(1)
    .filter((line) => line !== "")
    .map((line) => {
      const [, local = "", , state = ""] = line.trim().split(/\s+/);
      return { port: Number.parseInt(local.slice(local.lastIndexOf(":") + 1), 16), state };
    });
}

function readTable(table: string): string {
  try {
    return readFileSync(`/proc/net/${table}`, "latin1");
  } catch {
    return ""; // a kernel without IPv6 has no tcp6
  }
}
