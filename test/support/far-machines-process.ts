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
import { Arena } from "../../src/sys/arena.ts";
import { close } from "../../src/sys/socket.ts";
import { openTun, readPacket, writePacket } from "../../src/sys/tun.ts";
import { runIp } from "./namespace-lifetime.ts";
import { seededRandom } from "./seeded-random.ts";

const SELF = resolve("test/support/far-machines-process.ts");
const DEVICE = "far0";
export const HERE = "10.98.0.1";
const VNET_HEADER_BYTES = 10;
const SOURCE_AT = VNET_HEADER_BYTES + 12;
const DESTINATION_AT = VNET_HEADER_BYTES + 16;
const PACKET_BYTES = 1 << 17;
const RTT_STEP_MS = 10;
const MAX_WAITING = 20_000;

/** A machine so far away. @param lossPercent of each direction, 0…99 */
export function farAddress(rttMs: number, lossPercent = 0): string {
  return `10.98.${Math.max(1, Math.round(rttMs / RTT_STEP_MS))}.${lossPercent}`;
}

/** Whether packets to and from this machine get lost. */
export function isLossy(address: string): boolean {
  return !address.endsWith(".0");
}

/** Resolves when packets are carried; `stop` ends it. */
export async function startFarMachines(
  wrapper: readonly string[],
): Promise<{ readonly stop: () => Promise<void> }> {
  const child = Bun.spawn([...wrapper, process.execPath, SELF], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const first = await child.stdout.getReader().read();
  if (new TextDecoder().decode(first.value).trim() !== "ready") throw new Error("cannot start far machines");
  return {
    stop: async () => {
      child.kill("SIGKILL");
      await child.exited;
    },
  };
}

class Mirror {
  readonly #memory = new Arena(PACKET_BYTES + 4096);
  readonly #packetAt = this.#memory.take(PACKET_BYTES);
  readonly #iovecAt = this.#memory.take(16);
  readonly #random = seededRandom(7);
  readonly #fd = openTun(DEVICE).fd;
  #waiting = 0;

  turn(): void {
    const { bytes } = this.#memory;
    for (;;) {
      const length = readPacket(this.#fd, this.#memory.address(this.#packetAt), PACKET_BYTES);
      if (length < 0) return;
      const packet = bytes.slice(this.#packetAt, this.#packetAt + length);
      if (packet[VNET_HEADER_BYTES]! >> 4 !== 4 || this.#waiting >= MAX_WAITING) continue;
      const [rtt, loss] = farEnd(packet);
      if (this.#random() * 100 < loss) continue;
      this.#waiting++;
      setTimeout(() => this.#deliver(packet), (rtt * RTT_STEP_MS) / 2);
    }
  }

  close(): void {
    close(this.#fd);
  }

  #deliver(packet: Uint8Array): void {
    this.#waiting--;
    const source = packet.slice(SOURCE_AT, SOURCE_AT + 4);
    packet.copyWithin(SOURCE_AT, DESTINATION_AT, DESTINATION_AT + 4);
    packet.set(source, DESTINATION_AT);
    this.#memory.bytes.set(packet, this.#packetAt);
    this.#memory.view.setBigUint64(
      this.#iovecAt,
      BigInt(this.#memory.address(this.#packetAt) as number),
      true,
    );
    this.#memory.view.setBigUint64(this.#iovecAt + 8, BigInt(packet.length), true);
    writePacket(this.#fd, this.#memory.address(this.#iovecAt), 1);
  }
}

/** The third and fourth byte of the address that is not HERE. */
function farEnd(packet: Uint8Array): [number, number] {
  const at = packet[DESTINATION_AT + 2] === 0 ? SOURCE_AT : DESTINATION_AT;
  return [packet[at + 2]!, packet[at + 3]!];
}

async function run(): Promise<void> {
  const mirror = new Mirror();
  runIp(["address", "add", `${HERE}/16`, "dev", DEVICE]);
  runIp(["link", "set", DEVICE, "up", "txqueuelen", "10000"]);
  setInterval(() => mirror.turn(), 1);
  console.log("ready");
  await Bun.stdin.text();
  mirror.close();
  process.exit(0);
}

if (import.meta.main) await run();
