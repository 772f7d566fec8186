/** Datagrams cut by a RelaySendBatch's rules and put together again. */
import { expect, test } from "bun:test";
import { PartAssembly, partAssemblyBytes } from "../../../../../src/proxy/udp/relay/part-assembly.ts";
import { RelayChannel } from "../../../../../src/proxy/udp/relay/relay-channel.ts";
import { Arena } from "../../../../../src/sys/arena.ts";
import {
  MAX_PARTS_OF_DATAGRAM,
  PART_HEAD_BYTES,
  RELAY_CLEAR,
  RELAY_DATA,
  RELAY_OPEN,
  RELAY_PART,
  RelayDatagram,
  writeRelayPart,
} from "../../../../../src/wire/index.ts";

const BATCH = 4;
const ROOM = 70_000;

interface Part {
  readonly type?: number;
  readonly index: number;
  readonly count?: number;
  readonly session?: number;
  readonly offset?: number;
  readonly total?: number;
  readonly header?: string;
  readonly data: string;
}

function assembly() {
  const memory = new Arena(partAssemblyBytes(BATCH) + ROOM);
  const at = memory.take(ROOM);
  const parts = new PartAssembly(memory, BATCH);
  const channel = () => new RelayChannel(new Uint8Array(8), RELAY_CLEAR, null!, null!);
  /** What the part completes: "type session header data"; null: nothing. */
  const add = (relay: RelayChannel, number: number, part: Part): string | null => {
    const {
      type = RELAY_DATA,
      index,
      count = 2,
      session = 7,
      offset = 0,
      total = 6,
      header = "",
      data,
    } = part;
    const { bytes } = memory;
    writeRelayPart(type, index, count, session, offset, total, bytes, at);
    bytes.set(Buffer.from(header + data), at + PART_HEAD_BYTES);
    const datagram = Object.assign(new RelayDatagram(), {
      type: RELAY_PART,
      session: number,
      headerAt: at,
      headerLength: PART_HEAD_BYTES + header.length,
      dataAt: at + PART_HEAD_BYTES + header.length,
      dataLength: data.length,
    });
    if (!parts.add(relay, datagram)) return null;
    const text = (from: number, length: number) =>
      Buffer.from(bytes.subarray(from, from + length)).toString();
    const { headerAt, headerLength, dataAt, dataLength } = datagram;
    return `${datagram.type} ${datagram.session} ${text(headerAt, headerLength)} ${text(dataAt, dataLength)}`;
  };
  return { add, channel };
}

test("parts in any order become what was cut, with its header", () => {
  const { add, channel } = assembly();
  const relay = channel();
  expect(add(relay, 1, { index: 1, offset: 3, data: "def" })).toBeNull();
  expect(add(relay, 1, { index: 0, data: "abc" })).toBe(`${RELAY_DATA} 7  abcdef`);
  expect(add(relay, 2, { type: RELAY_OPEN, index: 0, header: "who", data: "abc" })).toBeNull();
  expect(add(relay, 2, { type: RELAY_OPEN, index: 1, offset: 3, data: "def" })).toBe(
    `${RELAY_OPEN} 7 who abcdef`,
  );
});

test("parts of other datagrams and of other relays are not mixed", () => {
  const { add, channel } = assembly();
  const [one, other] = [channel(), channel()];
  expect(add(one, 1, { index: 0, data: "abc" })).toBeNull();
  expect(add(one, 2, { index: 1, offset: 3, data: "xyz" })).toBeNull();
  expect(add(other, 1, { index: 1, offset: 3, data: "XYZ" })).toBeNull();
  expect(add(one, 1, { index: 1, offset: 3, data: "def" })).toBe(`${RELAY_DATA} 7  abcdef`);
  expect(add(other, 1, { index: 0, data: "ABC" })).toBe(`${RELAY_DATA} 7  ABCXYZ`);
});

test("what is nonsense, comes twice or contradicts is ignored", () => {
  const { add, channel } = assembly();
  const relay = channel();
  for (const part of [
    { index: 0, count: 1, data: "abcdef" },
    { index: 2, data: "abc" },
    { index: 0, count: MAX_PARTS_OF_DATAGRAM + 1, data: "abc" },
    { index: 0, offset: 4, data: "abc" },
    { index: 0, session: 0, data: "abc" },
    { index: 0, type: RELAY_PART, data: "abc" },
    { index: 0, type: RELAY_OPEN, data: "abc" },
    { index: 1, type: RELAY_OPEN, header: "who", data: "abc" },
  ])
    expect(add(relay, 1, part)).toBeNull();
  expect(add(relay, 1, { index: 0, data: "abc" })).toBeNull();
  expect(add(relay, 1, { index: 0, data: "abc" })).toBeNull();
  expect(add(relay, 1, { index: 1, count: 3, offset: 3, data: "def" })).toBeNull();
  expect(add(relay, 1, { index: 1, offset: 3, total: 7, data: "defg" })).toBeNull();
  expect(add(relay, 1, { index: 1, offset: 3, data: "de" })).toBeNull();
});

test("what never becomes whole makes room for others: a bounded number waits", () => {
  const { add, channel } = assembly();
  const relay = channel();
  for (let number = 1; number <= 1000; number++)
    expect(add(relay, number, { index: 0, data: "abc" })).toBeNull();
  expect(add(relay, 1, { index: 1, offset: 3, data: "def" })).toBeNull();
  expect(add(relay, 1000, { index: 1, offset: 3, data: "def" })).toBe(`${RELAY_DATA} 7  abcdef`);
});
