/** What the overlay's drivers need of a kernel. Without it a test is skipped and says so, or fails with REQUIRE_ALL=1. */
import { existsSync } from "node:fs";
import { lacksNamespaces } from "../network/namespaces.ts";
import { findProgram, lacks, skip } from "../os/require-program.ts";

const TUN_FILE = "/dev/net/tun";

/** For `describe.skipIf(lacksTun("ping"))`: TUN devices, namespaces to have them in, or one of these programs. */
export function lacksTun(...programs: string[]): boolean {
  return (
    lacksNamespaces() || lacks(...programs) || (!existsSync(TUN_FILE) && skip(`there is no ${TUN_FILE}`))
  );
}

/** For `describe.skipIf(lacksVxlan("ping"))`: VXLAN devices, namespaces to have them in, or one of these programs. */
export function lacksVxlan(...programs: string[]): boolean {
  return lacksNamespaces() || lacks(...programs) || (!hasVxlan() && skip("this kernel has no vxlan"));
}

function hasVxlan(): boolean {
  const ip = findProgram("ip")!;
  const namespace = `portmesh-vxlan-${process.pid}`;
  Bun.spawnSync([ip, "netns", "add", namespace]);
  const add = ["link", "add", "dev", "probe", "type", "vxlan", "id", "1", "dstport", "4789"];
  const { exitCode } = Bun.spawnSync([ip, "-n", namespace, ...add]);
  Bun.spawnSync([ip, "netns", "delete", namespace]);
  return exitCode === 0;
}
