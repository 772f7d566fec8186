/** A TUN device whose packets come back after a while, or not at all; for a process in a network namespace. */
import { Arena } from "../../../src/sys/arena.ts";
import { close } from "../../../src/sys/socket.ts";
import { openTun, readPacket, writePacket } from "../../../src/sys/tun.ts";
import { seededRandom } from "../random/seeded-random.ts";
import { runIp } from "./namespace-lifetime.ts";

/** In front of the IP header. */
export const VNET_HEADER_BYTES = 10;
const PACKET_BYTES = 1 << 17;
const MAX_WAITING = 20_000;
const POLL_MS = 1;

/** What happens to a packet. */
export interface Passage {
  readonly delayMs: number;
  /** 0 to 100. */
  readonly lossPercent: number;
}

export interface DelayedTunOptions {
  readonly device: string;
  /** null: it is dropped. @param packet with its VNET_HEADER_BYTES */
  readonly passageOf: (packet: Uint8Array) => Passage | null;
  /** Changes a packet in place before it comes back. */
  readonly onReturn?: (packet: Uint8Array) => void;
}

export class DelayedTun {
  readonly #options: DelayedTunOptions;
  readonly #memory = new Arena(PACKET_BYTES + 4096);
  readonly #packetAt = this.#memory.take(PACKET_BYTES);
  readonly #iovecAt = this.#memory.take(16);
  readonly #random = seededRandom(7);
  readonly #fd: number;
  #waiting = 0;

  constructor(options: DelayedTunOptions) {
    this.#options = options;
    this.#fd = openTun(options.device).fd;
    runIp(["link", "set", options.device, "up", "txqueuelen", "10000"]);
  }

  /** Carries packets and says so on standard output; the process ends with its input. */
  async run(): Promise<never> {
    setInterval(() => this.#turn(), POLL_MS);
    console.log("ready");
    await Bun.stdin.text();
    close(this.#fd);
    process.exit(0);
  }

  #turn(): void {
    for (;;) {
      const length = readPacket(this.#fd, this.#memory.address(this.#packetAt), PACKET_BYTES);
      if (length < 0) return;
      const packet = this.#memory.bytes.slice(this.#packetAt, this.#packetAt + length);
      const passage = this.#options.passageOf(packet);
      if (passage === null || this.#waiting >= MAX_WAITING) continue;
      if (this.#random() * 100 < passage.lossPercent) continue;
      this.#waiting++;
      setTimeout(() => this.#deliver(packet), passage.delayMs);
    }
  }

  #deliver(packet: Uint8Array): void {
    this.#waiting--;
    this.#options.onReturn?.(packet);
    this.#memory.bytes.set(packet, this.#packetAt);
    const address = BigInt(this.#memory.address(this.#packetAt) as number);
    this.#memory.view.setBigUint64(this.#iovecAt, address, true);
    this.#memory.view.setBigUint64(this.#iovecAt + 8, BigInt(packet.length), true);
    writePacket(this.#fd, this.#memory.address(this.#iovecAt), 1);
  }
}

export interface CarrierProcess {
  readonly stop: () => Promise<void>;
}

/** Starts a script that runs a DelayedTun; resolves when packets are carried. */
export async function startCarrier(command: readonly string[]): Promise<CarrierProcess> {
  const child = Bun.spawn([...command], { stdio: ["pipe", "pipe", "inherit"] });
  const first = await child.stdout.getReader().read();
  if (new TextDecoder().decode(first.value).trim() !== "ready")
    throw new Error(`cannot start ${command.join(" ")}`);
  return {
    stop: async () => {
      child.kill("SIGKILL");
      await child.exited;
    },
  };
}
