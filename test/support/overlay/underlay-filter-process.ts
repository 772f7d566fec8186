/**
 * An UnderlayFilter in a namespace, with UDP sockets that errors could be about. Arguments: addresses of other nodes. Goes
 * with its input.
 */
import { createSocket } from "node:dgram";
import { resolve } from "node:path";
import { UnderlayFilter } from "../../../src/overlay/index.ts";

const SELF = resolve("test/support/overlay/underlay-filter-process.ts");
const PORT = 4789;

/** Resolves when it filters; what it returns ends it, without a chance to clean up. */
export async function startUnderlayFilter(
  wrapper: readonly string[],
  nodes: readonly string[],
): Promise<() => Promise<void>> {
  const child = Bun.spawn([...wrapper, process.execPath, SELF, ...nodes], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const first = await child.stdout.getReader().read();
  if (new TextDecoder().decode(first.value).trim() !== "ready") throw new Error("cannot start the filter");
  return async () => {
    child.kill("SIGKILL");
    await child.exited;
  };
}

async function run(nodes: readonly string[]): Promise<void> {
  for (const [type, address] of [
    ["udp4", "0.0.0.0"],
    ["udp6", "::"],
  ] as const) {
    const socket = createSocket({ type, ipv6Only: true });
    await new Promise<void>((resolve) => socket.bind(PORT, address, resolve));
  }
  if (nodes.length > 0) UnderlayFilter.open("portmesh4789", null).setNodes(new Set(nodes));
  console.log("ready");
  await Bun.stdin.text();
  process.exit(0);
}

if (import.meta.main) await run(process.argv.slice(2));
