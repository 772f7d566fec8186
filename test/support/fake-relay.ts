/** Relays as other nodes see them, one from either side, each played by the test byte for byte. */
import { randomBytes } from "node:crypto";
import type { Peer } from "../../src/proxy/index.ts";
import {
  encodeRelayTask,
  GREETING_BYTES,
  RELAY_HEADER_MAX_BYTES,
  RELAY_VERSION,
  RelaySigner,
} from "../../src/wire/index.ts";
import { RawListener, RawSocket } from "./raw-socket.ts";
import { RELAY_KEY, type RelayNode } from "./relay-node.ts";

const ADDRESS = { family: 4, bytes: Uint8Array.of(192, 0, 2, 7), offset: 0, port: 1234 } as const;

/** What a fake exit node does with a connection; when it returns, the connection stays open. */
export type Script = (connection: RawSocket) => Promise<void>;

export const SILENT: Script = async () => {};

export async function greet(connection: RawSocket): Promise<void> {
  await connection.send(Uint8Array.of(RELAY_VERSION, ...randomBytes(16)));
}

/** Greets, reads a header, whoever it is from, and says this. */
export function answering(answer: number | string): Script {
  return async (connection) => {
    await greet(connection);
    const header = await connection.receive();
    // its heart beats
    if (header[12] === 0x20) return connection.send(Uint8Array.of(0));
    if (header.length > 0) await connection.send(typeof answer === "number" ? Uint8Array.of(answer) : answer);
  };
}

/** An exit node that does as its script says. */
export class FakeExit {
  readonly #listener = RawListener.open();
  readonly #connections: RawSocket[] = [];
  #isClosed = false;

  constructor(
    readonly name: string,
    public script: Script,
  ) {
    void this.#acceptAll();
  }

  get peer(): Peer {
    return { name: this.name, address: "127.0.0.1", port: this.#listener.port, udpPort: this.#listener.port };
  }

  get accepted(): number {
    return this.#connections.length;
  }

  close(): void {
    this.#isClosed = true;
    for (const connection of this.#connections) connection.close();
    this.#listener.close();
  }

  async #acceptAll(): Promise<void> {
    while (!this.#isClosed) {
      // nobody may come for longer than an accept waits
      const connection = await this.#listener.accept().catch(() => null);
      if (connection === null) continue;
      this.#connections.push(connection);
      // whoever has connected may have gone
      void this.script(connection).catch(() => {});
    }
  }
}

export interface GuestOptions {
  readonly key?: string;
  /** The name that the header is signed for; the exit node's own by default. */
  readonly exit?: string;
  /** That of another connection; the greeting's by default. */
  readonly challenge?: Uint8Array;
}

export interface Asked {
  readonly service?: string;
  readonly task: string;
  readonly targetPort: number;
}

/** An entry node's side of one relay connection, greeted. */
export class RelayGuest {
  private constructor(
    readonly socket: RawSocket,
    readonly exit: RelayNode,
    readonly challenge: Uint8Array,
  ) {}

  static async connect(exit: RelayNode): Promise<RelayGuest> {
    const { address, port } = exit.peer;
    const socket = await RawSocket.connect(port, { to: address });
    const greeting = Buffer.from(await socket.receiveText(GREETING_BYTES), "latin1");
    return new RelayGuest(socket, exit, Uint8Array.from(greeting.subarray(1)));
  }

  /** The header for a task; null: of a heartbeat. */
  header(asked: Asked | null, options: GuestOptions = {}): Uint8Array {
    const { key = RELAY_KEY, exit = this.exit.name, challenge = this.challenge } = options;
    const signer = new RelaySigner(Uint8Array.fromHex(key), exit);
    const out = new Uint8Array(RELAY_HEADER_MAX_BYTES);
    const clients = asked === null ? null : { source: ADDRESS, destination: ADDRESS };
    const task = asked && encodeRelayTask(asked.service ?? "test", asked.task, asked.targetPort);
    return out.slice(0, signer.write(clients, task, challenge, out, 0));
  }

  async ask(asked: Asked | null, options: GuestOptions = {}): Promise<void> {
    await this.socket.send(this.header(asked, options));
  }

  /** The exit node's answer to what was asked; null: it has ended the connection. */
  async answer(): Promise<number | null> {
    const bytes = await this.socket.receive(1);
    return bytes.length === 0 ? null : bytes[0]!;
  }
}
