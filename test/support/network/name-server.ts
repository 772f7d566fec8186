/**
 * A name server on an address of its own, and a place where it is the only one: a mount namespace with its own
 * /etc/resolv.conf, /etc/hosts and /etc/nsswitch.conf. Needs root.
 */
import { createSocket, type Socket } from "node:dgram";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { isIPv4, isIPv6 } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseIp } from "../../../src/wire/index.ts";
import { findProgram } from "../os/require-program.ts";

const PORT = 53;
const HEADER_BYTES = 12;
/** In front of each message over TCP. */
const LENGTH_BYTES = 2;
const TRUNCATED = 0x0200;
const TYPE_A = 1;
const TYPE_AAAA = 28;
const NOERROR = 0x8180;
const RCODES = { servfail: 2, nxdomain: 3, refused: 5 } as const;

/** Addresses (none: the name exists without any), an error, or silence. */
export type NameAnswer = readonly string[] | keyof typeof RCODES | "silent";

export class NameServer implements Disposable {
  /** Names that are missing do not exist. */
  readonly answers = new Map<string, NameAnswer>();
  /** What a query of one family gets instead, by "NAME A" or "NAME AAAA". */
  readonly answersByType = new Map<string, NameAnswer>();
  /** Names whose answers are too long for UDP: they are asked for again over TCP. */
  readonly long = new Set<string>();
  readonly asked: string[] = [];
  readonly #overTcp: Bun.TCPSocketListener;

  private constructor(
    readonly address: string,
    readonly socket: Socket,
    readonly directory: string,
  ) {
    socket.on("error", () => {}); // who asked has gone
    socket.on("message", (query, client) => {
      const response = this.#answer(query);
      if (response !== null) socket.send(cut(response, query, this.long), client.port, client.address);
    });
    this.#overTcp = Bun.listen({
      hostname: address,
      port: PORT,
      socket: {
        data: (client, bytes) => {
          for (const query of queriesIn(bytes)) {
            const response = this.#answer(query);
            if (response !== null) client.write(Buffer.concat([lengthOf(response), response]));
          }
        },
      },
    });
  }

  /** On a loopback address that no other has by default. */
  static async start(address?: string): Promise<NameServer> {
    for (;;) {
      const own = address ?? `127.53.${byte()}.${byte()}`;
      const socket = createSocket("udp4");
      const isBound = await new Promise<boolean>((resolve) => {
        socket.once("error", () => resolve(false));
        socket.bind(PORT, own, () => resolve(true));
      });
      if (isBound) return new NameServer(own, socket, mkdtempSync(join(tmpdir(), "portmesh-test-")));
      if (address !== undefined) throw new Error(`${address}:${PORT}/udp is taken`);
    }
  }

  /** In front of a command whose names are to be resolved here. */
  wrapper(hosts = "", options = "timeout:5 attempts:2"): string[] {
    const files = {
      "resolv.conf": `nameserver ${this.address}\noptions ${options}\n`,
      hosts: `127.0.0.1 localhost\n${hosts}\n`,
      "nsswitch.conf": "hosts: files dns\n",
    };
    for (const [name, text] of Object.entries(files)) writeFileSync(join(this.directory, name), text);
    const mounts = Object.keys(files).map((name) => `mount --bind "$0/${name}" /etc/${name}`);
    const script = `${mounts.join(" && ")} && exec "$@"`;
    return [findProgram("unshare")!, "--mount", "/bin/sh", "-c", script, this.directory];
  }

  [Symbol.dispose](): void {
    this.socket.close();
    this.#overTcp.stop(true);
    rmSync(this.directory, { recursive: true, force: true });
  }

  #answer(query: Buffer): Buffer | null {
    const { name, type, end } = readQuestion(query);
    this.asked.push(name);
    const typeName = type === TYPE_AAAA ? "AAAA" : "A";
    const answer = this.answersByType.get(`${name} ${typeName}`) ?? this.answers.get(name) ?? "nxdomain";
    if (answer === "silent") return null;
    const isOfType = type === TYPE_A ? isIPv4 : isIPv6;
    const addresses = typeof answer === "string" ? [] : answer.filter((address) => isOfType(address));
    const head = Buffer.from(query.subarray(0, end));
    head.writeUInt16BE(NOERROR | (typeof answer === "string" ? RCODES[answer] : 0), 2);
    [1, addresses.length, 0, 0].forEach((count, i) => head.writeUInt16BE(count, 4 + 2 * i));
    return Buffer.concat([head, ...addresses.map((address) => record(type, address))]);
  }
}

/** What goes over UDP: of a long answer its head, marked as truncated. */
function cut(response: Buffer, query: Buffer, long: ReadonlySet<string>): Buffer {
  const { name, end } = readQuestion(query);
  if (!long.has(name)) return response;
  const head = Buffer.from(response.subarray(0, end));
  head.writeUInt16BE(NOERROR | TRUNCATED, 2);
  head.writeUInt16BE(0, 6);
  return head;
}

/** Resolvers ask for both families at once. */
function* queriesIn(bytes: Buffer): Generator<Buffer> {
  for (let at = 0; at + LENGTH_BYTES <= bytes.length; ) {
    const end = at + LENGTH_BYTES + bytes.readUInt16BE(at);
    yield bytes.subarray(at + LENGTH_BYTES, end);
    at = end;
  }
}

function lengthOf(response: Buffer): Buffer {
  const length = Buffer.alloc(LENGTH_BYTES);
  length.writeUInt16BE(response.length);
  return length;
}

function readQuestion(query: Buffer): { name: string; type: number; end: number } {
  const labels: string[] = [];
  let at = HEADER_BYTES;
  for (let length = query[at]!; length > 0; length = query[at]!) {
    labels.push(query.toString("latin1", at + 1, at + 1 + length));
    at += 1 + length;
  }
  return { name: labels.join("."), type: query.readUInt16BE(at + 1), end: at + 5 };
}

function record(type: number, address: string): Buffer {
  const { bytes } = parseIp(address)!;
  const record = Buffer.alloc(12 + bytes.length);
  record.writeUInt16BE(0xc000 | HEADER_BYTES, 0); // the name of the question
  record.writeUInt16BE(type, 2);
  record.writeUInt16BE(1, 4); // class IN; TTL 0
  record.writeUInt16BE(bytes.length, 10);
  record.set(bytes, 12);
  return record;
}

function byte(): number {
  return 1 + Math.floor(Math.random() * 254);
}
