/** The layouts of recvmmsg and sendmmsg, byte by byte: offsets from the kernel's and musl's headers. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { Arena } from "../../../src/sys/arena.ts";
import { CONTROL_MAX, readPacketInfo, writePacketInfo } from "../../../src/sys/control-data.ts";
import {
  DATAGRAM_MAX,
  ReceiveBatch,
  receiveBatchBytes,
  SendBatch,
  sendBatchBytes,
} from "../../../src/sys/mmsg.ts";
import { AF_INET, AF_INET6, SOCKADDR_MAX } from "../../../src/sys/sockaddr.ts";

const SIZE = 3;

/** A struct mmsghdr, with addresses turned into offsets. */
function readHeader(arena: Arena, slot: number) {
  const at = slot * 64;
  const pointer = (offset: number) => {
    const address = Number(arena.view.getBigUint64(at + offset, true));
    return address === 0 ? null : address - arena.base;
  };
  return {
    name: pointer(0),
    nameLength: arena.view.getUint32(at + 8, true),
    iovec: pointer(16),
    iovecCount: arena.view.getBigUint64(at + 24, true),
    control: pointer(32),
    controlLength: arena.view.getBigUint64(at + 40, true),
  };
}

function readIovec(arena: Arena, at: number) {
  return {
    base: Number(arena.view.getBigUint64(at, true)) - arena.base,
    length: Number(arena.view.getBigUint64(at + 8, true)),
  };
}

test("ReceiveBatch points every header at its own buffer, name and control data", () => {
  const arena = new Arena(receiveBatchBytes(SIZE));
  const batch = new ReceiveBatch(arena, SIZE, true);
  batch.receive(-1, 0, SIZE);
  for (let slot = 0; slot < SIZE; slot++) {
    const header = readHeader(arena, slot);
    expect(header).toMatchObject({
      name: batch.nameAt(slot),
      nameLength: SOCKADDR_MAX,
      iovecCount: 1n,
      control: batch.controlAt(slot),
      controlLength: BigInt(CONTROL_MAX),
    });
    expect(readIovec(arena, header.iovec!)).toEqual({ base: batch.payloadAt(slot), length: DATAGRAM_MAX });
  }
  expect(batch.payloadAt(1) - batch.payloadAt(0)).toBeGreaterThanOrEqual(DATAGRAM_MAX);
  expect(batch.payloadAt(SIZE - 1) + DATAGRAM_MAX).toBeLessThanOrEqual(arena.bytes.length);
});

test("ReceiveBatch of a connected socket asks for no address", () => {
  const arena = new Arena(receiveBatchBytes(SIZE));
  new ReceiveBatch(arena, SIZE, false).receive(-1, 0, SIZE);
  expect(readHeader(arena, 1)).toMatchObject({ name: null, nameLength: 0, control: null, controlLength: 0n });
});

/** Every message of a batch as the kernel would cut it: lengths of its datagrams, and the bytes' places. */
function readSent(arena: Arena, batch: SendBatch) {
  return Array.from({ length: batch.messages }, (_, message) => {
    const { iovec, iovecCount, controlLength, control } = readHeader(arena, message);
    const parts = Array.from({ length: Number(iovecCount) }, (_, i) => readIovec(arena, iovec! + i * 16));
    const total = parts.reduce((sum, part) => sum + part.length, 0);
    const segment = controlLength === 0n ? total : arena.view.getUint16(control! + 16, true);
    return { parts, total, segment };
  });
}

test("SendBatch sends a payload alone or behind a prefix", () => {
  const arena = new Arena(sendBatchBytes(SIZE));
  const batch = new SendBatch(arena, SIZE, false);
  batch.add(128, 700, 0, 0, false);
  batch.add(256, 30, 64, 28, false);
  expect(readSent(arena, batch).map(({ parts }) => parts)).toEqual([
    [{ base: 128, length: 700 }],
    [
      { base: 64, length: 28 },
      { base: 256, length: 30 },
    ],
  ]);
  expect(readHeader(arena, 0)).toMatchObject({ name: null, controlLength: 0n });
  expect([batch.datagramsIn(0, 2), batch.payloadBytesIn(0, 2)]).toEqual([2, 730]);
});

test("SendBatch has the bytes of struct cmsghdr for a segment size, behind other control data", () => {
  const arena = new Arena(sendBatchBytes(SIZE));
  const batch = new SendBatch(arena, SIZE, true);
  batch.add(0, 1200, 0, 0, true);
  batch.setControlLength(0, 32);
  expect(batch.add(1200, 900, 0, 0, true)).toBe(true);
  const at = batch.controlAt(0) + 32;
  expect(Buffer.from(arena.bytes.subarray(at, at + 24)).toString("hex")).toBe(
    `1200000000000000${"11000000"}67000000${"b004000000000000"}`,
  );
  expect(readHeader(arena, 0).controlLength).toBe(56n);
});

test("SendBatch joins only what the kernel cuts into the same datagrams again", () => {
  const length = fc.oneof(fc.constantFrom(0, 1, 40, 1200), fc.integer({ min: 0, max: 65_507 }));
  const datagram = fc.record({ length, mayJoin: fc.boolean(), prefixLength: fc.constantFrom(0, 28) });
  const size = 200;
  const arena = new Arena(sendBatchBytes(size));
  const batch = new SendBatch(arena, size, false);
  fc.assert(
    fc.property(fc.array(datagram, { maxLength: size }), (datagrams) => {
      batch.clear();
      const isJoined = datagrams.map(({ length, mayJoin, prefixLength }, i) =>
        batch.add(i * 8, length, 8, prefixLength, mayJoin),
      );
      const cut: number[] = [];
      for (const { total, segment } of readSent(arena, batch)) {
        cut.push(
          ...Array.from({ length: Math.ceil(total / segment) || 1 }, (_, i) =>
            Math.min(segment, total - i * segment),
          ),
        );
      }
      expect(cut.map((length) => length || 0)).toEqual(
        datagrams.map(({ length, prefixLength }) => length + prefixLength),
      );
      expect(isJoined.filter((joined) => !joined).length).toBe(batch.messages);
      expect(datagrams.every(({ mayJoin }, i) => mayJoin || !isJoined[i])).toBe(true);
      expect(batch.datagramsIn(0, batch.messages)).toBe(datagrams.length);
      expect(batch.payloadBytesIn(0, batch.messages)).toBe(
        datagrams.reduce((sum, { length }) => sum + length, 0),
      );
    }),
  );
});

test("SendBatch says how long names and control data are", () => {
  const arena = new Arena(sendBatchBytes(SIZE));
  const batch = new SendBatch(arena, SIZE, true);
  for (let i = 0; i < SIZE; i++) batch.add(0, 1, 0, 0, false);
  batch.setNameFamily(0, AF_INET);
  batch.setNameFamily(2, AF_INET6);
  batch.setControlLength(2, 40);
  expect(readHeader(arena, 0)).toMatchObject({ name: batch.nameAt(0), nameLength: 16, controlLength: 0n });
  expect(readHeader(arena, 2)).toMatchObject({
    name: batch.nameAt(2),
    nameLength: 28,
    control: batch.controlAt(2),
    controlLength: 40n,
  });
});

test("writePacketInfo has the bytes of struct cmsghdr and in_pktinfo", () => {
  const arena = new Arena(4096);
  const at = arena.take(CONTROL_MAX);
  const length = writePacketInfo(arena, at, AF_INET, Int32Array.of(0x0200007f), 0);
  const hex = Buffer.from(arena.bytes.subarray(at, at + length)).toString("hex");
  expect(hex).toBe(`1c00000000000000${"00000000"}08000000${"00000000"}7f000002${"00000000"}00000000`);
});

test("writePacketInfo has the bytes of struct cmsghdr and in6_pktinfo", () => {
  const arena = new Arena(4096);
  const at = arena.take(CONTROL_MAX);
  const length = writePacketInfo(arena, at, AF_INET6, Int32Array.of(0x80fe, 0, 0, 0x01000000, 7), 0);
  const hex = Buffer.from(arena.bytes.subarray(at, at + length)).toString("hex");
  expect(hex).toBe(`240000000000000029000000${"32000000"}fe80${"0".repeat(26)}01${"07000000"}00000000`);
});

test("readPacketInfo skips other control messages and takes nothing from broken ones", () => {
  const arena = new Arena(4096);
  const at = arena.take(2 * CONTROL_MAX);
  const words = new Int32Array(1);
  // a timestamp of 20 bytes comes first: 4 of padding follow it
  arena.int32.set([20, 0, 1, 29, 99, 0], at / 4);
  const length = 24 + writePacketInfo(arena, at + 24, AF_INET, Int32Array.of(0x0200007f), 0);
  readPacketInfo(arena, at, length, AF_INET, words, 0);
  expect(words[0]).toBe(0x0200007f);
  for (let cut = 0; cut < length - 4; cut++) {
    readPacketInfo(arena, at, cut, AF_INET, words, 0);
    expect(words[0]).toBe(0);
  }
  arena.int32[at / 4] = 3;
  readPacketInfo(arena, at, length, AF_INET, words, 0);
  expect(words[0]).toBe(0);
});

test("readPacketInfo keeps the interface only of link-local addresses", () => {
  const arena = new Arena(4096);
  const at = arena.take(CONTROL_MAX);
  const words = new Int32Array(5);
  for (const [first, expected] of [
    [0x80fe, 7],
    [0x0120, 0],
  ] as const) {
    const length = writePacketInfo(arena, at, AF_INET6, Int32Array.of(first, 0, 0, 1, 7), 0);
    readPacketInfo(arena, at, length, AF_INET6, words, 0);
    expect([...words]).toEqual([first, 0, 0, 1, expected]);
  }
});
