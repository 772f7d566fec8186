/** Ports nobody listens on. */
import { createSocket } from "node:dgram";
import { createServer, isIPv6 } from "node:net";

/** Below those that the kernel gives to clients, so that none of them takes it before a test does; above those that tests name. */
const FIRST_QUIET_PORT = 25_000;
const QUIET_PORTS = 7_000;
const ATTEMPTS = 100;

/** No port is given twice: tests that run at the same time do not get the same before they listen on it. */
let latest = Math.floor(Math.random() * QUIET_PORTS);

/** `count` different ports of 127.0.0.1, free at the time of asking. */
export function freePorts(count: number): Promise<number[]> {
  return Promise.all(Array.from({ length: count }, () => freeQuietPort()));
}

export async function freePort(): Promise<number> {
  return freeQuietPort();
}

/** Free for TCP and UDP, and not one that a client may happen to get. */
export async function freeQuietPort(address = "127.0.0.1"): Promise<number> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    latest = (latest + 1) % QUIET_PORTS;
    const port = FIRST_QUIET_PORT + latest;
    if ((await isFreeTcp(port, address)) && (await isFreeUdp(port, address))) return port;
  }
  throw new Error(`no free port at ${address} in ${ATTEMPTS} attempts`);
}

async function isFreeTcp(port: number, address: string): Promise<boolean> {
  try {
    const server = await listen(port, address);
    await new Promise((done) => server.close(done));
    return true;
  } catch {
    return false;
  }
}

function isFreeUdp(port: number, address: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createSocket(isIPv6(address) ? "udp6" : "udp4");
    socket.once("error", () => resolve(false));
    socket.bind(port, address, () => socket.close(() => resolve(true)));
  });
}

function listen(port: number, address: string): Promise<ReturnType<typeof createServer>> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(port, address, () => resolve(server));
  });
}
