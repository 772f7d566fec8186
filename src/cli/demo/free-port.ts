/** The first port from `from` on that is free on all hosts. Another program may still take it. */

export type WantedProtocols = "tcp" | "udp" | "both";

const MAX_TRIES = 100;

export async function findFreePort(
  wanted: WantedProtocols,
  from: number,
  hosts: readonly string[] = ["127.0.0.1"],
): Promise<number> {
  for (let port = from; port < from + MAX_TRIES; port++) {
    if (await isFreeOnAll(wanted, port, hosts)) return port;
  }
  throw new Error(`cannot find a free ${wanted} port: ${from}..${from + MAX_TRIES - 1} are all taken`);
}

async function isFreeOnAll(
  wanted: WantedProtocols,
  port: number,
  hosts: readonly string[],
): Promise<boolean> {
  const protocols = wanted === "both" ? (["tcp", "udp"] as const) : [wanted];
  for (const hostname of hosts) {
    for (const protocol of protocols) if (!(await isFree(protocol, { hostname, port }))) return false;
  }
  return true;
}

async function isFree(
  protocol: "tcp" | "udp",
  address: { hostname: string; port: number },
): Promise<boolean> {
  try {
    if (protocol === "tcp") Bun.listen({ ...address, socket: { data: () => undefined } }).stop(true);
    else (await Bun.udpSocket(address)).close();
    return true;
  } catch {
    return false;
  }
}
