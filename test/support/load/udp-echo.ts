/**
 * UDP echo services in a process of their own: `bun udp-echo.ts ADDRESS PORT…`. Without arguments this file is what
 * starts them.
 */
import { resolve } from "node:path";
import { UdpPeer } from "./udp-peer.ts";

const SELF = resolve("test/support/load/udp-echo.ts");

export interface UdpEcho {
  kill(): Promise<void>;
}

/**
 * Resolves when they listen.
 *
 * @param wrapper in front of the command, for example a network namespace
 */
export async function startUdpEcho(
  wrapper: readonly string[],
  address: string,
  ...ports: number[]
): Promise<UdpEcho> {
  const child = Bun.spawn([...wrapper, process.execPath, SELF, address, ...ports.map(String)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const { value } = await child.stdout.getReader().read();
  if (value === undefined) throw new Error("the echo services ended");
  return {
    async kill() {
      child.kill("SIGKILL");
      await child.exited;
    },
  };
}

if (import.meta.main) {
  const [address, ...ports] = process.argv.slice(2) as [string, ...string[]];
  for (const port of ports) {
    const echo = await UdpPeer.open(address, Number(port));
    echo.onDatagram = ({ data, from }) => echo.send(data, from.port, from.address);
  }
  console.log("ready");
}
