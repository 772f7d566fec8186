/** A stranger without a key who says that it is a node of some name, and answers when it is asked whether it is. */
import { createSocket } from "node:dgram";
import { type AddressInfo, createServer } from "node:net";
import { decodeMessage, encodeMessage, framePacket, StreamReader } from "../../../src/wire/gossip/index.ts";

const PLAIN = { keyring: null, nonce: () => new Uint8Array(12), withCrc: false };
const VERSIONS = Uint8Array.of(1, 5, 2, 2, 5, 5);
const CLAIM_MS = 100;

export interface ThiefOptions {
  readonly name: string;
  /** Of the thief. */
  readonly host: string;
  readonly victim: { readonly host: string; readonly port: number };
}

export class NameThief implements AsyncDisposable {
  claims = 0;
  answeredPings = 0;
  readonly #server;
  readonly #socket = createSocket("udp4");
  #timer: ReturnType<typeof setInterval> | null = null;

  private constructor(readonly options: ThiefOptions) {
    this.#server = createServer((connection) => {
      const reader = new StreamReader({ keyring: null });
      connection.on("error", () => connection.destroy());
      connection.on("data", (chunk: Uint8Array) => {
        const read = reader.push(chunk);
        const ping = read.status === "complete" ? decodeMessage(read.message) : null;
        if (ping?.type !== "ping") return;
        this.answeredPings++;
        connection.end(encodeMessage({ type: "ack", seq: ping.seq, payload: null }));
      });
    });
  }

  static async start(options: ThiefOptions): Promise<NameThief> {
    const thief = new NameThief(options);
    await new Promise<void>((resolve) => thief.#server.listen(0, options.host, resolve));
    await new Promise<void>((resolve) => thief.#socket.bind(0, options.host, resolve));
    thief.#timer = setInterval(() => thief.#claim(), CLAIM_MS);
    return thief;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#socket.close();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #claim(): void {
    const { name: node, host, victim } = this.options;
    const { port } = this.#server.address() as AddressInfo;
    const address = Uint8Array.from(host.split("."), Number);
    const incarnation = ++this.claims;
    const rest = { meta: new Uint8Array(), versions: VERSIONS };
    const message = encodeMessage({ type: "alive", node, incarnation, address, port, ...rest });
    this.#socket.send(framePacket([message], PLAIN), victim.port, victim.host);
  }
}
