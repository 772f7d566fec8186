/** Relays as other nodes see them, one from either side, each played by the test byte for byte. */
import { randomBytes } from "node:crypto";
import type { Peer } from "../../../src/proxy/index.ts";
import { KeyPair } from "../../../src/sys/key-pair.ts";
import {
  encodeRelayTask,
  GREETING_BYTES,
  greetingChallenge,
  greetingPublicKey,
  HELLO_BYTES,
  HelloProver,
  helloPublicKey,
  PairSecret,
  RECORD_OVERHEAD_BYTES,
  RECORD_STREAM,
  RELAY_HEADER_MAX_BYTES,
  RELAY_QUESTION_MAX_BYTES,
  RELAY_SEALED,
  type RecordKeys,
  RelaySigner,
  recordLength,
  writeGreeting,
  writeRelayQuestion,
} from "../../../src/wire/index.ts";
import { RawListener, RawSocket } from "../os/raw-socket.ts";
import { GCM } from "../overlay/gcm.ts";
import { RELAY_KEY, type RelayNode } from "./relay-node.ts";

const ADDRESS = { family: 4, bytes: Uint8Array.of(192, 0, 2, 7), offset: 0, port: 1234 } as const;
/** Of a PROXY v2 header: version 2, command LOCAL. */
const HEARTBEAT = 0x20;
const COMMAND_AT = 12;

/** What a fake exit node does with a connection; when it returns, the connection stays open. */
export type Script = (connection: RawSocket) => Promise<void>;

export const SILENT: Script = async () => {};

/** A record with these bytes. */
export function seal({ sealer }: RecordKeys, bytes: Uint8Array | string, kind = RECORD_STREAM): Uint8Array {
  const plain = Uint8Array.from(Buffer.from(bytes));
  const out = new Uint8Array(plain.length + RECORD_OVERHEAD_BYTES);
  sealer.seal(kind, plain, 0, plain.length, out, 0);
  return out;
}

/** What is in one record. */
export function unseal({ opener }: RecordKeys, record: Uint8Array): Uint8Array {
  const out = new Uint8Array(Math.max(0, record.length - RECORD_OVERHEAD_BYTES));
  if (recordLength(record, 0, record.length) !== record.length) throw new Error("not one record");
  if (!opener.open(record, 0, record.length, out, 0)) throw new Error("a record does not open");
  return out;
}

async function receiveExactly(connection: RawSocket, bytes: number): Promise<Uint8Array> {
  return Uint8Array.from(Buffer.from(await connection.receiveText(bytes), "latin1"));
}

/** An exit node's side of one relay connection, in clear or sealed as it is asked. */
export class Greeted {
  #keys: RecordKeys | null = null;

  private constructor(
    readonly connection: RawSocket,
    readonly exit: string,
    readonly greeting: Uint8Array,
    readonly pair: KeyPair,
  ) {}

  static async greet(connection: RawSocket, exit = "fake"): Promise<Greeted> {
    const [pair, greeting] = [new KeyPair(), new Uint8Array(GREETING_BYTES)];
    writeGreeting(randomBytes(16), pair.publicKey, greeting, 0);
    await connection.send(greeting);
    return new Greeted(connection, exit, greeting, pair);
  }

  /** What is asked; a heartbeat has been answered. null: nothing is, it has ended. */
  async question(): Promise<"client" | "heartbeat" | null> {
    const question = Uint8Array.from(await this.connection.receive());
    if (question.length === 0) return null;
    const header = question[0] === RELAY_SEALED ? this.#open(question) : question;
    if (header[COMMAND_AT] !== HEARTBEAT) return "client";
    await this.send(Uint8Array.of(0));
    return "heartbeat";
  }

  async send(bytes: Uint8Array | string): Promise<void> {
    await this.connection.send(this.#keys === null ? bytes : seal(this.#keys, bytes));
  }

  /** What comes at once, one record if it is sealed. */
  async receive(): Promise<Uint8Array> {
    const bytes = Uint8Array.from(await this.connection.receive());
    return this.#keys === null ? bytes : unseal(this.#keys, bytes);
  }

  /** The end of the stream. */
  async finish(): Promise<void> {
    if (this.#keys !== null) await this.connection.send(seal(this.#keys, "", 2));
    this.connection.close();
  }

  #open(question: Uint8Array): Uint8Array {
    const relayKey = Uint8Array.fromHex(RELAY_KEY);
    if (!new HelloProver(relayKey, this.exit).isProved(this.greeting, question, 0))
      throw new Error("a hello without proof");
    const secret = new PairSecret(relayKey, this.pair.agree(helloPublicKey(question, 0))!, GCM);
    this.#keys = secret.keysFor("exit", this.exit, this.greeting, question.subarray(0, HELLO_BYTES));
    return unseal(this.#keys, question.subarray(HELLO_BYTES));
  }
}

export const greet: Script = async (connection) => {
  await Greeted.greet(connection);
};

/** Greets, reads a question, whoever it is from, and says this. */
export function answering(answer: number | string): Script {
  return async (connection) => {
    const greeted = await Greeted.greet(connection);
    if ((await greeted.question()) !== "client") return;
    await greeted.send(typeof answer === "number" ? Uint8Array.of(answer) : answer);
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
    readonly isSealed: boolean,
  ) {
    void this.#acceptAll();
  }

  get peer(): Peer {
    return {
      name: this.name,
      address: "127.0.0.1",
      udpPort: this.#listener.port,
      port: this.#listener.port,
      isSealed: this.isSealed,
    };
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
  /** That of another connection; this one's by default. */
  readonly greeting?: Uint8Array;
  /** As the exit node demands by default. */
  readonly isSealed?: boolean;
}

export interface Asked {
  readonly service?: string;
  readonly task: string;
  readonly targetPort: number;
}

/** An entry node's side of one relay connection, greeted. */
export class RelayGuest {
  /** Of the latest sealed header. */
  keys: RecordKeys | null = null;

  private constructor(
    readonly socket: RawSocket,
    readonly exit: RelayNode,
    readonly greeting: Uint8Array,
  ) {}

  static async connect(exit: RelayNode): Promise<RelayGuest> {
    const { address, port } = exit.peer;
    const socket = await RawSocket.connect(port, { to: address });
    return new RelayGuest(socket, exit, await receiveExactly(socket, GREETING_BYTES));
  }

  get challenge(): Uint8Array {
    return greetingChallenge(this.greeting);
  }

  /** The question for a task, in clear or sealed; null: of a heartbeat. */
  header(asked: Asked | null, options: GuestOptions = {}): Uint8Array {
    const clients = asked === null ? null : { source: ADDRESS, destination: ADDRESS };
    const task = asked && encodeRelayTask(asked.service ?? "test", asked.task, asked.targetPort);
    const { key = RELAY_KEY, exit = this.exit.name, greeting = this.greeting } = options;
    if (options.isSealed ?? this.exit.peer.isSealed) {
      const question = new Uint8Array(RELAY_QUESTION_MAX_BYTES);
      return this.hello(question.subarray(0, writeRelayQuestion(clients, task, question, 0)), options);
    }
    const signer = new RelaySigner(Uint8Array.fromHex(key), exit);
    const out = new Uint8Array(RELAY_HEADER_MAX_BYTES);
    return out.slice(0, signer.write(clients, task, greetingChallenge(greeting), out, 0));
  }

  /** A hello and these bytes in a record. */
  hello(question: Uint8Array, options: GuestOptions = {}): Uint8Array {
    const { key = RELAY_KEY, exit = this.exit.name, greeting = this.greeting } = options;
    const [relayKey, pair, hello] = [Uint8Array.fromHex(key), new KeyPair(), new Uint8Array(HELLO_BYTES)];
    new HelloProver(relayKey, exit).write(greeting, randomBytes(16), pair.publicKey, hello, 0);
    const secret = new PairSecret(relayKey, pair.agree(greetingPublicKey(greeting))!, GCM);
    this.keys = secret.keysFor("entry", exit, greeting, hello);
    return Buffer.concat([hello, seal(this.keys, question)]);
  }

  async ask(asked: Asked | null, options: GuestOptions = {}): Promise<void> {
    await this.socket.send(this.header(asked, options));
  }

  /** The exit node's answer to what was asked; null: it has ended the connection. */
  async answer(): Promise<number | null> {
    return (await this.receive(1))[0] ?? null;
  }

  async send(bytes: Uint8Array | string): Promise<void> {
    await this.socket.send(this.keys === null ? bytes : seal(this.keys, bytes));
  }

  /** So many bytes, which came in records of one each if it is sealed; fewer at the end. */
  async receive(count: number): Promise<Uint8Array> {
    if (this.keys === null) return receiveExactly(this.socket, count);
    const opened: number[] = [];
    while (opened.length < count) {
      const record = await receiveExactly(this.socket, 1 + RECORD_OVERHEAD_BYTES);
      if (record.length === 0) break;
      opened.push(...unseal(this.keys, record));
    }
    return Uint8Array.from(opened);
  }
}
