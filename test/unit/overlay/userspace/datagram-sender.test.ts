import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import type { udp } from "bun";
import { Counters, createCounters, readCounts } from "../../../../src/overlay/userspace/counters.ts";
import {
  DatagramSender,
  datagramSenderBytes,
  MAX_QUEUED_DATAGRAMS,
} from "../../../../src/overlay/userspace/peer/datagram-sender.ts";
import { RemotePeer } from "../../../../src/overlay/userspace/peer/remote-peer.ts";
import { ClosedPath } from "../../../../src/overlay/userspace/worker/closed-path.ts";
import { Arena } from "../../../../src/sys/arena.ts";
import { check } from "../../../../src/sys/errno.ts";
import { libc } from "../../../../src/sys/libc.ts";
import { AF_INET } from "../../../../src/sys/sockaddr.ts";
import { close, setPathMtuProbing, udpSocket } from "../../../../src/sys/socket.ts";
import { waitFor } from "../../../support/time/wait-for.ts";

const SOL_SOCKET = 1;
/** A socket that sends no checksums cannot segment: the kernel says EINVAL. */
const SO_NO_CHECK = 11;
const PAYLOAD_BYTES = 70_000;

describe("DatagramSender", () => {
  const received: Buffer[] = [];
  const values = createCounters();
  let receiver: udp.Socket<"buffer">;
  let fd: number;
  let arena: Arena;
  let sender: DatagramSender;
  let payloadAt: number;

  beforeEach(async () => {
    received.length = 0;
    values.fill(0);
    receiver = await Bun.udpSocket({
      hostname: "127.0.0.1",
      socket: { data: (_, bytes) => void received.push(Buffer.from(bytes)) },
    });
    fd = check("socket", udpSocket(AF_INET));
    setPathMtuProbing(fd, AF_INET);
    arena = new Arena(datagramSenderBytes() + PAYLOAD_BYTES + 8192);
    sender = new DatagramSender(arena, fd, new Counters(values));
    payloadAt = arena.take(PAYLOAD_BYTES);
    for (let i = 0; i < PAYLOAD_BYTES; i++) arena.bytes[payloadAt + i] = i % 251;
  });

  afterEach(() => {
    receiver.close();
    close(fd);
  });

  function peerAt(underlayAddress: string, port: number, row: number): RemotePeer {
    const config = {
      name: `p${row}`,
      overlayAddress: `10.200.0.${row}`,
      underlayAddress,
      port,
      secrets: null,
      row,
    };
    return new RemotePeer(config, new ClosedPath(new Counters(values)), { address: "10.200.0.9", vni: 1 });
  }

  /** Datagrams of 2 bytes of prefix and `length` of payload each. */
  function add(peer: RemotePeer, count: number, length: number): Buffer[] {
    return Array.from({ length: count }, (_, index) => {
      const { prefixAt } = sender;
      arena.bytes.set([index, peer.row], prefixAt);
      const from = payloadAt + index * length;
      sender.add(peer, from, length, prefixAt, 2);
      return Buffer.concat([Buffer.of(index, peer.row), arena.bytes.subarray(from, from + length)]);
    });
  }

  async function expectReceived(expected: readonly Buffer[]): Promise<void> {
    await waitFor(() => received.length >= expected.length);
    expect(received.map((bytes) => bytes.toString("hex"))).toEqual(
      expected.map((bytes) => bytes.toString("hex")),
    );
  }

  test("sends what it was given, to each its own, and counts it", async () => {
    const peer = peerAt("127.0.0.1", receiver.port, 1);
    const expected = [...add(peer, 5, 1000), ...add(peer, 1, 300)];
    expect(sender.flush()).toBe(true);
    await expectReceived(expected);
    expect(sender.datagrams).toBe(0);
    expect(readCounts(values, 1)).toMatchObject({
      datagramsOut: 6,
      bytesOut: 5312,
      isSegmentationRefused: false,
    });
  });

  test("where segmentation is refused, datagrams go one by one from then on", async () => {
    arena.int32[payloadAt / 4] = 1;
    expect(libc.setsockopt(fd, SOL_SOCKET, SO_NO_CHECK, arena.address(payloadAt), 4)).toBe(0);
    const peer = peerAt("127.0.0.1", receiver.port, 1);
    const expected = add(peer, 5, 1000);
    expect(sender.flush()).toBe(true);
    expect(peer.maySegment).toBe(false);
    expected.push(...add(peer, 3, 1000));
    expect(sender.flush()).toBe(true);
    await expectReceived(expected);
    expect(readCounts(values, 1)).toMatchObject({
      datagramsOut: 8,
      bytesOut: 8016,
      isSegmentationRefused: true,
      packetsDropped: {},
    });
  });

  test("a peer that cannot be reached loses its datagrams, keeps segmentation, and disturbs no other peer", async () => {
    const nowhere = peerAt("255.255.255.255", 9, 1);
    const peer = peerAt("127.0.0.1", receiver.port, 2);
    add(nowhere, 3, 1000);
    const expected = add(peer, 3, 1000);
    expect(sender.flush()).toBe(true);
    await expectReceived(expected);
    expect(nowhere.maySegment).toBe(true);
    expect(peer.maySegment).toBe(true);
    expect(readCounts(values, 1).packetsDropped).toEqual({ unreachable: 3 });
    expect(readCounts(values, 2).packetsDropped).toEqual({});
  });

  test("what is too long is counted", () => {
    add(peerAt("127.0.0.1", receiver.port, 1), 1, 66_000);
    expect(sender.flush()).toBe(true);
    expect(readCounts(values, 1).packetsDropped).toEqual({ "too-long": 1 });
  });

  test("is full at its bound", () => {
    const peer = peerAt("127.0.0.1", receiver.port, 1);
    add(peer, 200, 10);
    add(peer, 200, 10);
    expect(sender.isFull).toBe(false);
    add(peer, MAX_QUEUED_DATAGRAMS - 400, 10);
    expect(sender.isFull).toBe(true);
    sender.drop();
    expect(sender.isFull).toBe(false);
    expect(readCounts(values, 1).packetsDropped).toEqual({ "send-failed": MAX_QUEUED_DATAGRAMS });
  });
});
