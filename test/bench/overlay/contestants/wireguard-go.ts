/** wireguard-go, WireGuard in user space: two peers with fixed endpoints. */
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { findProgram, waitFor } from "../../process.ts";
import { type End, type Link, MTU_BYTES, runIn, type Side } from "../link.ts";
import { type Contestant, lacking } from "./contestant.ts";
import { startPair, tunnelOf } from "./processes.ts";

const ADDRESSES: Readonly<Record<Side, string>> = { left: "10.95.0.1", right: "10.95.0.2" };
const PORT = 51_820;
/** Outer IPv4 and UDP headers, WireGuard's own header and the tag: as large as fits. */
const OVERHEAD_BYTES = 20 + 8 + 16 + 16;
const DEVICE_DEADLINE_MS = 5000;
const CONTROL_FOLDER = "/var/run/wireguard";
/** It starts only when told to where the kernel has WireGuard, too. */
const ANYWAY = "WG_I_PREFER_BUGGY_USERSPACE_TO_POLISHED_KMOD=1";

interface Keys {
  readonly privateFile: string;
  readonly publicKey: string;
}

export const wireguardGo: Contestant = {
  name: "wireguard-go",
  isEncrypted: true,
  unavailable: () => lacking({ "wireguard-go": "wireguard-go", wg: "wireguard-tools" }),
  async start(bench, link) {
    const directory = bench.path("wireguard");
    mkdirSync(directory);
    const keys = { left: makeKeys(link.left, directory), right: makeKeys(link.right, directory) };
    const command = ["/usr/bin/env", ANYWAY, findProgram("wireguard-go")!, "-f"];
    const pair = startPair(bench, link, "wireguard-go", (end) => [...command, deviceOf(end)]);
    const control = bench.own({ close: () => removeControls(link) });
    const stop = async () => {
      await pair.stop();
      control.close();
    };
    try {
      await waitFor("start of wireguard-go", DEVICE_DEADLINE_MS, () => link.ends.every(hasControl));
      for (const end of link.ends) configure(link, end, keys);
    } catch (error) {
      await stop();
      throw new Error(`${(error as Error).message} ${pair.failure() ?? ""}`, { cause: error });
    }
    return tunnelOf(link, { ...pair, stop }, ADDRESSES.right);
  },
};

/** Their control sockets share one folder, also where the namespaces differ. */
function deviceOf({ side }: End): string {
  return `wg${process.pid}${side[0]}`;
}

/** It removes them itself, unless it was killed. */
function removeControls({ ends }: Link): void {
  for (const end of ends) rmSync(join(CONTROL_FOLDER, `${deviceOf(end)}.sock`), { force: true });
}

function hasControl(end: End): boolean {
  try {
    runIn(end, ["wg", "show", deviceOf(end)]);
    return true;
  } catch {
    return false;
  }
}

function makeKeys(end: End, directory: string): Keys {
  const privateFile = join(directory, `${end.side}.key`);
  const privateKey = runIn(end, ["wg", "genkey"]);
  writeFileSync(privateFile, privateKey, { mode: 0o600 });
  return { privateFile, publicKey: runIn(end, ["wg", "pubkey"], privateKey).trim() };
}

function configure({ left, right }: Link, end: End, keys: Readonly<Record<Side, Keys>>): void {
  const peer = end.side === "left" ? right : left;
  const own = ["listen-port", String(PORT), "private-key", keys[end.side].privateFile];
  const route = ["endpoint", `${peer.address}:${PORT}`, "allowed-ips", `${ADDRESSES[peer.side]}/32`];
  runIn(end, ["wg", "set", deviceOf(end), ...own, "peer", keys[peer.side].publicKey, ...route]);
  const commands = [
    `address add ${ADDRESSES[end.side]}/24 dev ${deviceOf(end)}`,
    `link set ${deviceOf(end)} mtu ${MTU_BYTES - OVERHEAD_BYTES} up`,
  ];
  runIn(end, ["ip", "-batch", "-"], commands.join("\n"));
}
