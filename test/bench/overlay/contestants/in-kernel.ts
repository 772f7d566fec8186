/** The cable itself, which nobody beats, and a VXLAN device on it, configured by hand. No processes. */
import { type Link, MTU_BYTES, runIn } from "../link.ts";
import { type Contestant, type RunningContestant, waitForTunnel } from "./contestant.ts";

const VXLAN_ADDRESSES = { left: "10.97.0.1", right: "10.97.0.2" } as const;
const DEVICE = "vxlan0";
const VNI = 42;
/** Outer IPv4, UDP and VXLAN headers and the inner Ethernet header. */
const VXLAN_OVERHEAD_BYTES = 50;

export const plainVeth: Contestant = {
  name: "veth",
  isEncrypted: false,
  unavailable: () => undefined,
  start: async (_, link) => withoutProcesses(link.right.address, async () => {}),
};

export const kernelVxlan: Contestant = {
  name: "kernel-vxlan",
  isEncrypted: false,
  unavailable: () => undefined,
  async start(_, link) {
    addDevices(link);
    await waitForTunnel(link, VXLAN_ADDRESSES.right, () => undefined);
    return withoutProcesses(VXLAN_ADDRESSES.right, async () => {
      for (const end of link.ends) runIn(end, ["ip", "link", "delete", DEVICE]);
    });
  },
};

function addDevices({ left, right, ends }: Link): void {
  for (const end of ends) {
    const peer = end === left ? right : left;
    const tunnel = `local ${end.address} remote ${peer.address} dstport 4789 dev eth0 udpcsum`;
    const commands = [
      `link add ${DEVICE} type vxlan id ${VNI} ${tunnel}`,
      `address add ${VXLAN_ADDRESSES[end.side]}/24 dev ${DEVICE}`,
      `link set ${DEVICE} mtu ${MTU_BYTES - VXLAN_OVERHEAD_BYTES} up`,
    ];
    runIn(end, ["ip", "-batch", "-"], commands.join("\n"));
  }
}

function withoutProcesses(address: string, stop: () => Promise<void>): RunningContestant {
  const tunnel = (port: number) => ({ address, port });
  return { pids: [], failure: () => undefined, tunnel, published: tunnel, stop };
}
