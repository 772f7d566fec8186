import { expect, test } from "bun:test";
import fc from "fast-check";
import { SuperPacketSplitter } from "../../../../src/overlay/seal/split-super-packet.ts";

const IP_AT = 10;
const TCP_AT = 30;
const FIN = 0x01;
const PSH = 0x08;
const ACK = 0x10;
const CWR = 0x80;

interface Super {
  readonly payload: number;
  readonly gsoSize: number;
  readonly options?: number;
  readonly flags?: number;
  readonly sequence?: number;
}

/** A TCP super-packet as TUN gives it, its payload counting up. */
function superPacket({ payload, gsoSize, options = 12, flags = ACK, sequence = 1000 }: Super): Buffer {
  const headers = 20 + 20 + options;
  const bytes = Buffer.alloc(10 + headers + payload);
  bytes[0] = 1;
  bytes[1] = payload > gsoSize ? 1 : 0;
  bytes.writeUInt16LE(headers, 2);
  bytes.writeUInt16LE(payload > gsoSize ? gsoSize : 0, 4);
  bytes.writeUInt16LE(20, 6);
  bytes.writeUInt16LE(16, 8);
  bytes[IP_AT] = 0x45;
  bytes.writeUInt16BE(headers + payload, IP_AT + 2);
  bytes.writeUInt16BE(0xfffe, IP_AT + 4);
  bytes[IP_AT + 8] = 64;
  bytes[IP_AT + 9] = 6;
  bytes.set([10, 200, 0, 1, 10, 200, 0, 2], IP_AT + 12);
  bytes.writeUInt16BE(~sum(bytes.subarray(IP_AT, IP_AT + 20)) & 0xffff, IP_AT + 10);
  bytes.writeUInt32BE(sequence, TCP_AT + 4);
  bytes[TCP_AT + 12] = ((20 + options) / 4) << 4;
  bytes[TCP_AT + 13] = flags;
  bytes.writeUInt16BE(pseudoSum(bytes), TCP_AT + 16);
  for (let i = 0; i < payload; i++) bytes[10 + headers + i] = i % 251;
  return bytes;
}

function sum(bytes: Buffer): number {
  let total = 0;
  for (let i = 0; i < bytes.length; i += 2) total += bytes.readUInt16BE(i);
  while (total > 0xffff) total = (total & 0xffff) + (total >>> 16);
  return total;
}

/** What the kernel leaves in the checksum field: addresses, protocol, length. */
function pseudoSum(bytes: Buffer): number {
  const length = Buffer.from([0, 6, 0, 0]);
  length.writeUInt16BE(bytes.readUInt16BE(IP_AT + 2) - 20, 2);
  return sum(Buffer.concat([bytes.subarray(IP_AT + 12, IP_AT + 20), length]));
}

function split(packet: Buffer, maxBytes: number): Buffer[] {
  const bytes = new Uint8Array(packet.length + 64);
  bytes.set(packet, 32);
  const splitter = new SuperPacketSplitter({ bytes, view: new DataView(bytes.buffer) });
  const pieces: Buffer[] = [];
  splitter.split(32, packet.length, splitter.segmentsIn(32, maxBytes), (at, length) =>
    pieces.push(Buffer.from(bytes.slice(at, at + length))),
  );
  return pieces;
}

test("pieces have the payload of the whole, each with headers of its own", () => {
  const given = fc.record({
    payload: fc.integer({ min: 1, max: 60_000 }),
    gsoSize: fc.integer({ min: 88, max: 1_400 }),
    options: fc.constantFrom(0, 12, 40),
    sequence: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
    flags: fc.constantFrom(ACK, ACK | PSH, ACK | PSH | FIN, ACK | CWR),
  });
  fc.assert(
    fc.property(given, fc.integer({ min: 200, max: 30_000 }), (described, maxBytes) => {
      const packet = superPacket(described);
      if (packet[1] === 0) return;
      const { options, gsoSize, sequence, payload } = described;
      const headers = 10 + 40 + options;
      const pieces = split(packet, maxBytes);
      const payloads = Buffer.concat(pieces.map((piece) => piece.subarray(headers)));
      expect(Buffer.compare(payloads, packet.subarray(headers))).toBe(0);
      let done = 0;
      for (const [index, piece] of pieces.entries()) {
        const count = piece.length - headers;
        if (count > gsoSize) expect(piece.length).toBeLessThanOrEqual(Math.max(maxBytes, headers + gsoSize));
        expect(piece.readUInt16BE(IP_AT + 2)).toBe(piece.length - 10);
        expect(sum(piece.subarray(IP_AT, IP_AT + 20))).toBe(0xffff);
        expect(piece.readUInt16BE(IP_AT + 4)).toBe((0xfffe + done / gsoSize) & 0xffff);
        expect(piece.readUInt32BE(TCP_AT + 4)).toBe((sequence + done) % 2 ** 32);
        expect(piece.readUInt16BE(TCP_AT + 16)).toBe(pseudoSum(piece));
        expect([piece[1], piece.readUInt16LE(4)]).toEqual(count > gsoSize ? [1, gsoSize] : [0, 0]);
        const isLast = index === pieces.length - 1;
        expect(piece[TCP_AT + 13]! & (FIN | PSH)).toBe(isLast ? described.flags & (FIN | PSH) : 0);
        expect(piece[TCP_AT + 13]! & CWR).toBe(index === 0 ? described.flags & CWR : 0);
        done += count;
      }
      expect(done).toBe(payload);
    }),
  );
});

test("what is no TCP super-packet cannot be cut", () => {
  const can = (bytes: Buffer) => {
    const memory = { bytes, view: new DataView(bytes.buffer, bytes.byteOffset, bytes.length) };
    return new SuperPacketSplitter(memory).canSplit(0, bytes.length);
  };
  const packet = superPacket({ payload: 9_000, gsoSize: 1_400 });
  expect(can(packet)).toBe(true);
  expect(can(superPacket({ payload: 100, gsoSize: 1_400 }))).toBe(false);
  packet[1] = 5;
  expect(can(packet)).toBe(false);
});
