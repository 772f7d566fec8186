/**
 * Machines that are far away, for one network namespace: a TUN device whose packets come back after a while, with source
 * and destination exchanged. A program that connects to 10.98.R.L, port P, reaches port P of 10.98.0.1, which is its own
 * namespace, as if both were R times 10 ms apart (there and back) with L percent of the packets lost in each direction.
 *
 *   10.98.0.1 ──▶ 10.98.30.0     comes back as     10.98.30.0 ──▶ 10.98.0.1, 150 ms later
 *
 * Sums of the addresses do not change, so checksums hold. Runs in a process of its own, in front of which is the
 * namespace's wrapper; ends with its input.
 */
import { resolve } from "node:path";
import { type CarrierProcess, DelayedTun, startCarrier, VNET_HEADER_BYTES } from "./delayed-tun.ts";
import { runIp } from "./namespace-lifetime.ts";

const SELF = resolve("test/support/network/far-machines-process.ts");
const DEVICE = "far0";
export const HERE = "10.98.0.1";
const SOURCE_AT = VNET_HEADER_BYTES + 12;
const DESTINATION_AT = VNET_HEADER_BYTES + 16;
const RTT_STEP_MS = 10;

/** A machine so far away. @param lossPercent of each direction, 0…99 */
export function farAddress(rttMs: number, lossPercent = 0): string {
  return `10.98.${Math.max(1, Math.round(rttMs / RTT_STEP_MS))}.${lossPercent}`;
}

/** Whether packets to and from this machine get lost. */
export function isLossy(address: string): boolean {
  return !address.endsWith(".0");
}

/** Resolves when packets are carried; `stop` ends it. */
export function startFarMachines(wrapper: readonly string[]): Promise<CarrierProcess> {
  return startCarrier([...wrapper, process.execPath, SELF]);
}

/** The third and fourth byte of the address that is not HERE. */
function farEnd(packet: Uint8Array): [number, number] {
  const at = packet[DESTINATION_AT + 2] === 0 ? SOURCE_AT : DESTINATION_AT;
  return [packet[at + 2]!, packet[at + 3]!];
}

function isIpv4(packet: Uint8Array): boolean {
  return packet[VNET_HEADER_BYTES]! >> 4 === 4;
}

function swapEnds(packet: Uint8Array): void {
  const source = packet.slice(SOURCE_AT, SOURCE_AT + 4);
  packet.copyWithin(SOURCE_AT, DESTINATION_AT, DESTINATION_AT + 4);
  packet.set(source, DESTINATION_AT);
}

async function run(): Promise<never> {
  const mirror = new DelayedTun({
    device: DEVICE,
    passageOf: (packet) => {
      if (!isIpv4(packet)) return null;
      const [rtt, lossPercent] = farEnd(packet);
      return { delayMs: (rtt * RTT_STEP_MS) / 2, lossPercent };
    },
    onReturn: swapEnds,
  });
  runIp(["address", "add", `${HERE}/16`, "dev", DEVICE]);
  return mirror.run();
}

if (import.meta.main) await run();
