import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  frameOf,
  OWN_ADDRESS,
  PEER_ADDRESS,
  PlainFrames,
  pseudoHeader,
  slowSum,
  tcpPacket,
  udpPacket,
  withoutChecksum,
} from "../../../support/overlay/plain-frames.ts";

const TCPV4 = 1;
const UDP_L4 = 5;
const VIRTIO_NEEDS_CHECKSUM = 1;
const ACK = 0x10;
const PSH = 0x08;
const FIN = 0x01;
const CWR = 0x80;
const HEAD_BYTES = 22;
const VIRTIO_BYTES = 10;

const options = fc.uint8Array({ maxLength: 10 }).map((bytes) => new Uint8Array(bytes.length * 4).fill(7));
const payload = fc.uint8Array({ minLength: 1, maxLength: 6000 });
const sequence = fc.nat(0xffff_ffff);

function outgoing(parts: {
  sequence: number;
  flags: number;
  options: Uint8Array;
  payload: Uint8Array;
}): Buffer {
  return tcpPacket({ from: OWN_ADDRESS, to: PEER_ADDRESS, ...parts });
}

function incoming(
  parts: { sequence: number; flags: number; payload: Uint8Array },
  extra = new Uint8Array(0),
): Buffer {
  return tcpPacket({ from: PEER_ADDRESS, to: OWN_ADDRESS, options: extra, ...parts });
}

function expectRightChecksums(packet: Uint8Array): void {
  expect(slowSum(packet.subarray(0, 20))).toBe(0xffff);
  expect(slowSum(pseudoHeader(packet), packet.subarray(20))).toBe(0xffff);
}

describe("PlainPath", () => {
  test("cuts a TCP super-packet into packets that each are right", () => {
    fc.assert(
      fc.property(
        sequence,
        options,
        payload,
        fc.integer({ min: 16, max: 1500 }),
        (first, extra, data, gsoSize) => {
          const frames = new PlainFrames();
          const flags = ACK | PSH | FIN | CWR;
          const packet = withoutChecksum(outgoing({ sequence: first, flags, options: extra, payload: data }));
          frames.send(packet, {
            needsChecksum: true,
            gsoType: TCPV4,
            gsoSize,
            checksumStart: 20,
            checksumOffset: 16,
          });
          const headerBytes = 40 + extra.length;
          expect(frames.datagrams.length).toBe(Math.ceil(data.length / gsoSize));
          const segments = frames.datagrams.map((bytes) => Buffer.from(bytes.subarray(HEAD_BYTES)));
          segments.forEach((segment, index) => {
            expectRightChecksums(segment);
            expect(segment.readUInt16BE(2)).toBe(segment.length);
            expect(segment.readUInt16BE(4)).toBe((0xfffe + index) & 0xffff);
            expect(segment.readUInt32BE(24)).toBe((first + index * gsoSize) % 2 ** 32);
            expect((segment[33]! & CWR) !== 0).toBe(index === 0);
            expect((segment[33]! & (PSH | FIN)) !== 0).toBe(index === segments.length - 1);
          });
          const joined = Buffer.concat(segments.map((segment) => segment.subarray(headerBytes)));
          expect(joined.equals(data)).toBe(true);
        },
      ),
      { numRuns: 100 },
    );
  });

  test("cuts a UDP super-packet", () => {
    fc.assert(
      fc.property(payload, fc.integer({ min: 16, max: 1500 }), (data, gsoSize) => {
        const frames = new PlainFrames();
        const packet = withoutChecksum(udpPacket(OWN_ADDRESS, PEER_ADDRESS, data));
        frames.send(packet, {
          needsChecksum: true,
          gsoType: UDP_L4,
          gsoSize,
          checksumStart: 20,
          checksumOffset: 6,
        });
        const packets = frames.datagrams.map((bytes) => Buffer.from(bytes.subarray(HEAD_BYTES)));
        for (const each of packets) {
          expectRightChecksums(each);
          expect(each.readUInt16BE(24)).toBe(each.length - 20);
        }
        expect(Buffer.concat(packets.map((each) => each.subarray(28))).equals(data)).toBe(true);
      }),
      { numRuns: 50 },
    );
  });

  test("completes the checksum of a packet, and writes the head of the frame", () => {
    const frames = new PlainFrames();
    const packet = outgoing({
      sequence: 7,
      flags: ACK,
      options: new Uint8Array(0),
      payload: Buffer.from("abc"),
    });
    frames.send(withoutChecksum(packet), { needsChecksum: true, checksumStart: 20, checksumOffset: 16 });
    expect(frames.datagrams).toHaveLength(1);
    const [datagram] = frames.datagrams;
    const head = "0800000000126700".concat("0242", "0ac80002", "0242", "0ac80001", "0800");
    expect(Buffer.from(datagram!.subarray(0, HEAD_BYTES)).toString("hex")).toBe(head);
    expect(packet.equals(datagram!.subarray(HEAD_BYTES))).toBe(true);
  });

  test.each([
    { virtio: { gsoType: TCPV4, gsoSize: 0 }, what: "segments of no size" },
    { virtio: { gsoType: UDP_L4, gsoSize: 100 }, what: "UDP segmentation of TCP" },
    { virtio: { gsoType: 77, gsoSize: 100 }, what: "an unknown kind of segmentation" },
    { virtio: { needsChecksum: true, checksumStart: 60_000, checksumOffset: 6 }, what: "a checksum outside" },
  ])("drops $what", ({ virtio }) => {
    const frames = new PlainFrames();
    const packet = outgoing({
      sequence: 1,
      flags: ACK,
      options: new Uint8Array(0),
      payload: new Uint8Array(300),
    });
    frames.send(packet, virtio);
    expect(frames.datagrams).toEqual([]);
    expect(frames.counts.packetsDropped).toEqual({ malformed: 1 });
  });
});

describe("PlainReceiver", () => {
  /** Segments of one flow that follow each other. */
  function segmentsOf(first: number, data: Uint8Array, size: number): Buffer[] {
    const segments: Buffer[] = [];
    for (let at = 0; at < data.length; at += size) {
      const flags = at + size >= data.length ? ACK | PSH : ACK;
      const part = data.subarray(at, at + size);
      segments.push(incoming({ sequence: (first + at) % 2 ** 32, flags, payload: part }));
    }
    return segments;
  }

  /** One packet of 65,536 has the checksum that is left to a card by chance. */
  function looksLeftToCard(segment: Buffer): boolean {
    return segment.equals(withoutChecksum(segment));
  }

  test("joins segments; the checksum is the one of the whole", () => {
    fc.assert(
      fc.property(
        sequence,
        payload,
        fc.integer({ min: 100, max: 1400 }),
        fc.nat(7),
        (first, data, size, extra) => {
          const frames = new PlainFrames();
          const segments = segmentsOf(first, data, size);
          fc.pre(!segments.some(looksLeftToCard));
          frames.receive(segments.map(frameOf), 22 + 40 + size + extra);
          expect(frames.packets).toHaveLength(1);
          const packet = Buffer.from(frames.packets[0]!.subarray(VIRTIO_BYTES));
          expectRightChecksums(packet);
          expect(packet.readUInt16BE(2)).toBe(packet.length);
          expect(packet.subarray(40).equals(data)).toBe(true);
          expect(packet[33]).toBe(ACK | PSH);
          const [flags, gsoType] = frames.packets[0]!;
          // one of 65,536 checksums is the sum of the pseudo header too, and is completed to itself
          const looksUnchecked = segments.length === 1 && withoutChecksum(segments[0]!).equals(segments[0]!);
          expect(flags).toBe(looksUnchecked ? VIRTIO_NEEDS_CHECKSUM : 0);
          expect(gsoType).toBe(segments.length > 1 ? TCPV4 : 0);
        },
      ),
      { numRuns: 150 },
    );
  });

  test("a right checksum that looks left to a card is made anew by the device, and is the same", () => {
    const frames = new PlainFrames();
    const data = Uint8Array.of(77, 21, 107, 166, 69, 196, 9);
    const [segment] = segmentsOf(4_294_901_745, data, 100) as [Buffer];
    expect(looksLeftToCard(segment)).toBe(true);
    expectRightChecksums(segment);
    frames.receive([frameOf(segment)], 200);
    const packet = frames.packets[0]!;
    expect([...packet.subarray(0, VIRTIO_BYTES)]).toEqual([1, 0, 40, 0, 0, 0, 20, 0, 16, 0]);
    expect(segment.equals(packet.subarray(VIRTIO_BYTES))).toBe(true);
  });

  test("a corrupt segment does not become a right packet", () => {
    fc.assert(
      fc.property(payload, fc.nat(), fc.integer({ min: 1, max: 255 }), (data, which, change) => {
        const frames = new PlainFrames();
        const segments = segmentsOf(1, data, 500);
        const victim = segments[which % segments.length]!;
        victim[40 + (which % (victim.length - 40))]! ^= change;
        frames.receive(segments.map(frameOf), 600);
        const packet = frames.packets[0]!.subarray(VIRTIO_BYTES);
        expect(slowSum(pseudoHeader(packet), packet.subarray(20))).not.toBe(0xffff);
      }),
      { numRuns: 100 },
    );
  });

  test("checksums that were left to a card are left to the device", () => {
    const frames = new PlainFrames();
    const data = new Uint8Array(1000).fill(3);
    frames.receive(
      segmentsOf(1, data, 400).map((segment) => frameOf(withoutChecksum(segment))),
      600,
    );
    expect(frames.packets).toHaveLength(1);
    const [packet] = frames.packets;
    expect([...packet!.subarray(0, VIRTIO_BYTES)]).toEqual([1, TCPV4, 40, 0, 144, 1, 20, 0, 16, 0]);
    const joined = Buffer.from(packet!.subarray(VIRTIO_BYTES));
    expect(joined.equals(withoutChecksum(joined))).toBe(true);
  });

  test.each([
    { what: "a gap", second: { sequence: 201, flags: ACK } },
    { what: "a segment sent again", second: { sequence: 0, flags: ACK } },
    { what: "the end of the stream", second: { sequence: 100, flags: ACK | FIN } },
    { what: "a reset", second: { sequence: 100, flags: ACK | 0x04 } },
    { what: "urgent data", second: { sequence: 100, flags: ACK | 0x20 } },
  ])("does not join over $what, and keeps the order", ({ second }) => {
    const frames = new PlainFrames();
    const packets = [{ sequence: 0, flags: ACK }, second].map((parts) =>
      incoming({ ...parts, payload: new Uint8Array(100).fill(parts.flags) }),
    );
    frames.receive(packets.map(frameOf), 200);
    expect(frames.packets.map((bytes) => bytes.subarray(VIRTIO_BYTES).toString("hex"))).toEqual(
      packets.map((packet) => packet.toString("hex")),
    );
  });

  test("does not join segments with other options, nor behind one that pushes or is shorter", () => {
    const frames = new PlainFrames();
    const packets = [
      incoming({ sequence: 0, flags: ACK, payload: new Uint8Array(100) }),
      incoming({ sequence: 100, flags: ACK, payload: new Uint8Array(100) }, new Uint8Array(12).fill(1)),
      incoming({ sequence: 200, flags: ACK | PSH, payload: new Uint8Array(100) }, new Uint8Array(12).fill(1)),
      incoming({ sequence: 300, flags: ACK, payload: new Uint8Array(90) }, new Uint8Array(12).fill(1)),
      incoming({ sequence: 390, flags: ACK, payload: new Uint8Array(100) }, new Uint8Array(12).fill(1)),
    ];
    frames.receive(packets.map(frameOf), 200);
    expect(frames.packets.map((bytes) => bytes.length - VIRTIO_BYTES)).toEqual([140, 252, 142, 152]);
  });

  test("answers who asks for its address, and believes what it says of its own", () => {
    const frames = new PlainFrames();
    const arp = "0001080006040001".concat("0a0b0c0d0e0f", "0ac80002", "000000000000", "0ac80001");
    const head = "0800000000126700".concat("ffffffffffff", "0a0b0c0d0e0f", "0806");
    frames.receive([Buffer.from(head + arp, "hex")], 100);
    const reply = "0001080006040002".concat("02420ac80001", "0ac80001", "0a0b0c0d0e0f", "0ac80002");
    const replyHead = "0800000000126700".concat("0a0b0c0d0e0f", "02420ac80001", "0806");
    expect(frames.datagrams.map((bytes) => Buffer.from(bytes).toString("hex"))).toEqual([replyHead + reply]);
    frames.send(udpPacket(OWN_ADDRESS, PEER_ADDRESS, new Uint8Array(4)), {});
    expect(Buffer.from(frames.datagrams[1]!.subarray(8, 14)).toString("hex")).toBe("0a0b0c0d0e0f");
  });

  test("drops a burst's torn end and everything in clear where it encrypts", () => {
    const frames = new PlainFrames();
    const whole = frameOf(incoming({ sequence: 0, flags: ACK, payload: new Uint8Array(100) }));
    frames.receive([whole, whole.subarray(0, 80), whole.subarray(0, 21)], 200);
    expect(frames.packets).toHaveLength(1);
    expect(frames.counts.framesDropped).toEqual({ malformed: 1, short: 1 });
    for (const encrypting of [new PlainFrames(true), new PlainFrames(false, ["00".repeat(32)])]) {
      encrypting.receive([whole], 200);
      expect(encrypting.packets).toEqual([]);
      expect(encrypting.counts.framesDropped).toEqual({ "clear-frame": 1 });
    }
  });
});
