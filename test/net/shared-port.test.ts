/** One UDP port for gossip or echoes and for relays: each datagram arrives where it belongs. */
import { afterEach, describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { encodeRoot } from "../../src/catalog/sync-messages.ts";
import {
  ECHO_ANSWER,
  ECHO_BYTES,
  ECHO_HEADERS_BYTES,
  ECHO_PROBE,
  encodeEcho,
} from "../../src/overlay/path/echo.ts";
import type { ListenAddress } from "../../src/proxy/listen/listen-address.ts";
import { openListeningSockets } from "../../src/proxy/listen/listening-sockets.ts";
import { Arena } from "../../src/sys/arena.ts";
import { DatagramSocket } from "../../src/sys/datagram-socket.ts";
import { OwnPorts } from "../../src/sys/port-owner.ts";
import { close, recv } from "../../src/sys/socket.ts";
import { encodeMessage, framePacket, Keyring, NONCE_BYTES } from "../../src/wire/gossip/index.ts";
import {
  RELAY_CLEAR,
  RELAY_CLOSE,
  RELAY_CONFIRM,
  RELAY_DATA,
  RELAY_ENCRYPTED,
  RELAY_HELLO,
  RELAY_ID_BYTES,
  RELAY_OPEN,
  RELAY_PING,
  SEALED_BYTES,
  writeHandshake,
  writeSealedHead,
} from "../../src/wire/index.ts";
import { GossipSamples } from "../support/gossip/gossip-samples.ts";
import { UdpPeer } from "../support/load/udp-peer.ts";
import { freeQuietPort } from "../support/os/free-port.ts";
import { Seeded } from "../support/random/seed.ts";
import { waitFor } from "../support/time/wait-for.ts";

const WORKERS = 3;
const SAMPLES = 200;
/** Datagrams between two looks at what has arrived: buffers hold as many. */
const BATCH = 50;
const memory = new Arena(4096);
const seeded = new Seeded(11);
const samples = new GossipSamples(seeded);

const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0).reverse()) close();
});

class SharedPort {
  readonly atNode: Buffer[] = [];
  /** By worker. */
  readonly atWorkers: Buffer[][] = [];
  #fds: readonly number[] = [];
  #client: UdpPeer | null = null;

  private constructor(
    readonly at: ListenAddress,
    readonly to: string,
  ) {}

  static async open(
    host: string,
    to: string,
    sharing: "first" | "beside" = "first",
    at = 0,
  ): Promise<SharedPort> {
    const port = at === 0 ? await freeQuietPort(host) : at;
    const shared = new SharedPort({ protocol: "udp", address: host, port, isBesideNode: true }, to);
    const node = await DatagramSocket.open({
      host,
      port,
      sharing,
      onDatagram: ({ bytes }) => shared.atNode.push(Buffer.from(bytes)),
    });
    closers.push(() => node.close());
    shared.#client = await UdpPeer.open(to);
    closers.push(() => shared.#client!.close());
    shared.openWorkers();
    closers.push(() => shared.closeWorkers());
    return shared;
  }

  openWorkers(): void {
    const opened = openListeningSockets(this.at, WORKERS, false, new OwnPorts());
    if ("error" in opened) throw new Error(opened.error);
    this.#fds = opened.fds;
  }

  closeWorkers(): void {
    this.#fds.forEach(close);
    this.#fds = [];
  }

  /** Sends them, and waits until all have arrived somewhere. */
  async send(datagrams: readonly Uint8Array[]): Promise<void> {
    for (let at = 0; at < datagrams.length; at += BATCH) {
      const batch = datagrams.slice(at, at + BATCH);
      this.atNode.length = 0;
      this.atWorkers.splice(0, this.atWorkers.length, ...this.#fds.map(() => []));
      for (const datagram of batch) this.#client!.send(datagram, this.at.port, this.to);
      await waitFor(() => this.#receive() === batch.length, { what: "all datagrams" });
    }
  }

  #receive(): number {
    for (const [worker, fd] of this.#fds.entries()) {
      for (;;) {
        const length = recv(fd, memory.address(0), memory.bytes.length, 0);
        if (length < 0) break;
        this.atWorkers[worker]!.push(Buffer.from(memory.bytes.subarray(0, length)));
      }
    }
    return this.atWorkers.reduce((sum, { length }) => sum + length, this.atNode.length);
  }
}

function handshake(type: number, version: number): Uint8Array {
  const out = new Uint8Array(512);
  const name = version === RELAY_ENCRYPTED ? 32 : 1 + (randomBytes(1)[0]! % 200);
  const length = writeHandshake(type, randomBytes(RELAY_ID_BYTES), randomBytes(name), out, 0, version);
  return out.subarray(0, length);
}

function sealed(type: number, version: number, relayId = randomBytes(RELAY_ID_BYTES)): Uint8Array {
  const headerLength = type === RELAY_OPEN ? 30 : 0;
  const out = new Uint8Array(SEALED_BYTES + headerLength + (type === RELAY_DATA ? 100 : 0));
  writeSealedHead(type, relayId, headerLength, 1, type === RELAY_PING ? 0 : 7, out, 0, version);
  return out;
}

function echo(type: number, length: number): Uint8Array {
  const out = new Uint8Array(length);
  const run = randomBytes(8);
  const size = length + ECHO_HEADERS_BYTES;
  encodeEcho(
    { type: type as typeof ECHO_PROBE, size, id: 1, isInUse: false, run, sender: new Uint8Array(4) },
    out,
  );
  return out;
}

const each = (make: () => Uint8Array) => Array.from({ length: SAMPLES }, make);
const keyring = Keyring.of([new Uint8Array(32).fill(7)]);
const framed = (messages: Uint8Array[], withKeys: boolean) =>
  framePacket(messages, {
    keyring: withKeys ? keyring : null,
    nonce: () => Uint8Array.from({ length: NONCE_BYTES }, () => seeded.below(256)),
    withCrc: false,
  });
const user = (payload: Uint8Array) => encodeMessage({ type: "user", payload });
const root = () => encodeRoot({ sender: "n1", clock: 7, wantsAnswer: true, hash: randomBytes(8) as never });

const RELAYED: readonly (readonly [string, () => Uint8Array])[] = [RELAY_CLEAR, RELAY_ENCRYPTED].flatMap(
  (version) => [
    [`HELLO, version ${version}`, () => handshake(RELAY_HELLO, version)] as const,
    [`CONFIRM, version ${version}`, () => handshake(RELAY_CONFIRM, version)] as const,
    ...[RELAY_OPEN, RELAY_DATA, RELAY_CLOSE, RELAY_PING].map(
      (type) => [`type ${type} under a key, version ${version}`, () => sealed(type, version)] as const,
    ),
  ],
);
const OF_THE_NODE: readonly (readonly [string, () => Uint8Array])[] = [
  ["sealed gossip", () => framed([samples.message()], true)],
  ["plain gossip", () => framed([samples.message()], false)],
  ["plain gossip of two messages", () => framed([samples.message(), samples.message()], false)],
  ["plain messages of the catalog", () => framed([user(root())], false)],
  ["plain messages of serf", () => framed([user(samples.serfMessage())], false)],
  ["probes", () => echo(ECHO_PROBE, ECHO_BYTES + 1200)],
  ["the smallest probes", () => echo(ECHO_PROBE, ECHO_BYTES)],
  ["answers", () => echo(ECHO_ANSWER, ECHO_BYTES)],
  ["a single byte", () => randomBytes(1)],
];

describe.each([
  ["127.0.0.1", "127.0.0.1"],
  ["0.0.0.0", "127.0.0.1"],
  ["::1", "::1"],
  ["::", "::1"],
])("at %s", (host, to) => {
  test("relays get what is theirs, the node all else", async () => {
    const shared = await SharedPort.open(host, to);
    for (const [what, make] of RELAYED) {
      await shared.send(each(make));
      expect([what, shared.atNode]).toEqual([what, []]);
    }
    for (const [what, make] of OF_THE_NODE) {
      await shared.send(each(make));
      expect([what, shared.atWorkers.flat()]).toEqual([what, []]);
    }
  });

  test("a link stays with its worker, and links are spread over all of them", async () => {
    const shared = await SharedPort.open(host, to);
    const used = new Set<number>();
    for (let link = 0; link < 30; link++) {
      const relayId = randomBytes(RELAY_ID_BYTES);
      await shared.send(
        [RELAY_OPEN, RELAY_DATA, RELAY_CLOSE].map((type) => sealed(type, RELAY_CLEAR, relayId)),
      );
      const lengths = shared.atWorkers.map(({ length }) => length);
      expect(lengths.toSorted()).toEqual([0, 0, 3]);
      used.add(lengths.indexOf(3));
    }
    expect(used.size).toBe(WORKERS);
  });

  test("sockets of relays that are opened again stand behind the node's again", async () => {
    const shared = await SharedPort.open(host, to);
    shared.closeWorkers();
    await shared.send([framed([samples.message()], true)]);
    shared.openWorkers();
    await shared.send(each(() => sealed(RELAY_DATA, RELAY_CLEAR)));
    expect(shared.atNode).toEqual([]);
    await shared.send(each(() => framed([samples.message()], true)));
    expect(shared.atWorkers.flat()).toEqual([]);
  });

  test("no other socket gets the port: not a second node, not a published port", async () => {
    const { at } = await SharedPort.open(host, to);
    const { port } = at;
    const second = DatagramSocket.open({ host, port, sharing: "first", onDatagram: () => {} });
    expect(second).rejects.toMatchObject({ code: "EADDRINUSE" });
    const published = openListeningSockets(
      { protocol: "udp", address: host, port },
      1,
      false,
      new OwnPorts(),
    );
    expect(published).toMatchObject({ error: expect.stringContaining(`:${port}/udp`) });
  });
});

test("echoes at an address have it beside gossip at all addresses, each with relays of its own", async () => {
  const gossip = await SharedPort.open("0.0.0.0", "127.0.0.1");
  const echoes = await SharedPort.open("127.0.0.9", "127.0.0.9", "beside", gossip.at.port);
  for (const shared of [gossip, echoes]) {
    await shared.send(each(() => echo(ECHO_PROBE, ECHO_BYTES)));
    await shared.send(each(() => sealed(RELAY_DATA, RELAY_ENCRYPTED)));
  }
});
