/** What passes the interface of a machine of the test network, as its kernel sees it: bytes of whole frames. */
import { randomUUID } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { UdpPeer } from "../load/udp-peer.ts";
import { findProgram } from "../os/require-program.ts";
import { waitFor } from "../time/wait-for.ts";
import type { NetworkNode } from "./network-node.ts";

const DISCARD_PORT = 9;
const FILE_HEADER_BYTES = 24;
const RECORD_HEADER_BYTES = 16;
const ETHERNET_BYTES = 14;
const SOURCE_AT = ETHERNET_BYTES + 12;
const DESTINATION_AT = ETHERNET_BYTES + 16;

export class PacketCapture {
  readonly file: string;
  readonly #directory: string;
  readonly #child: Bun.Subprocess<"ignore", "ignore", "pipe">;

  private constructor(
    directory: string,
    readonly machine: NetworkNode,
    interfaceName: string,
  ) {
    this.#directory = directory;
    this.file = join(directory, "capture.pcap");
    const command = [
      findProgram("tcpdump")!,
      "-i",
      interfaceName,
      "-Z",
      "root",
      "-U",
      "-s",
      "0",
      "-w",
      this.file,
    ];
    this.#child = Bun.spawn([...machine.wrapper, ...command], { stdio: ["ignore", "ignore", "pipe"] });
  }

  /** Resolves when it listens. */
  static async start(machine: NetworkNode, interfaceName = "eth0"): Promise<PacketCapture> {
    const capture = new PacketCapture(
      mkdtempSync(join(tmpdir(), "portmesh-capture-")),
      machine,
      interfaceName,
    );
    const reader = capture.#child.stderr.getReader();
    const decoder = new TextDecoder();
    let text = "";
    while (!text.includes("listening on")) {
      const { value, done } = await reader.read();
      if (done) throw new Error(`tcpdump ended: ${text}`);
      text += decoder.decode(value);
    }
    reader.releaseLock();
    return capture;
  }

  /** Ends it, with all that had come before; the file stays until `remove`. */
  async stop(): Promise<void> {
    await this.#hasAll();
    this.#child.kill("SIGINT");
    await this.#child.exited;
  }

  /** What comes first is captured first: a datagram with a mark in it has come last. */
  async #hasAll(): Promise<void> {
    const mark = `the end of capture ${randomUUID()}`;
    const sender = await UdpPeer.open("0.0.0.0");
    try {
      sender.send(mark, DISCARD_PORT, this.machine.address);
      await waitFor(() => readFileSync(this.file).includes(mark), { what: "the capture to be written" });
    } finally {
      sender.close();
    }
  }

  remove(): void {
    rmSync(this.#directory, { recursive: true, force: true });
  }

  /** Ends it and gives the IPv4 packets between two addresses, either way, with their Ethernet headers. */
  async packetsBetween(one: string, other: string): Promise<Buffer[]> {
    await this.stop();
    const bytes = readFileSync(this.file);
    this.remove();
    const packets: Buffer[] = [];
    for (let at = FILE_HEADER_BYTES; at + RECORD_HEADER_BYTES <= bytes.length; ) {
      const length = bytes.readUInt32LE(at + 8);
      const packet = bytes.subarray(at + RECORD_HEADER_BYTES, at + RECORD_HEADER_BYTES + length);
      const ends = [SOURCE_AT, DESTINATION_AT].map((start) =>
        [...packet.subarray(start, start + 4)].join("."),
      );
      if (ends.includes(one) && ends.includes(other)) packets.push(packet);
      at += RECORD_HEADER_BYTES + length;
    }
    return packets;
  }
}
