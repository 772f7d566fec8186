/** The first port from `from` on that nobody listens on, on 127.0.0.1. Somebody else may still take it. */

const MAX_TRIES = 100;

export async function findFreePort(protocol: "tcp" | "udp", from: number): Promise<number> {
  for (let port = from; port < from + MAX_TRIES; port++) {
    if (await isFree(protocol, port)) return port;
  }
  throw new Error(`cannot find a free ${protocol} port: ${from}..${from + MAX_TRIES - 1} are all taken`);
}

async function isFree(protocol: "tcp" | "udp", port: number): Promise<boolean> {
  const address = { hostname: "127.0.0.1", port };
  try {
    if (protocol === "tcp") Bun.listen({ ...address, socket: { data: () => undefined } }).stop(true);
    else (await Bun.udpSocket(address)).close();
    return true;
  } catch {
    return false;
  }
}
