import { expect, test } from "bun:test";
import { type ArpPacket, decodeArp, writeArpReply, writeArpRequest } from "../../../src/wire/ethernet.ts";
import { readVni, writeVxlan } from "../../../src/wire/vxlan.ts";

test.each([0, 1, 4711, 0xff_ffff])("VNI %d is written and read", (vni) => {
  const bytes = new Uint8Array(12).fill(0xaa);
  writeVxlan(vni, bytes, 2);
  expect(readVni(bytes, 2)).toBe(vni);
  expect([...bytes.subarray(2, 6), bytes[9]]).toEqual([8, 0, 0, 0, 0]);
  expect([bytes[0], bytes[1], bytes[10], bytes[11]]).toEqual([0xaa, 0xaa, 0xaa, 0xaa]);
});

test("without the I flag there is no VNI; reserved bits do not matter [RFC 7348 §5]", () => {
  const bytes = Uint8Array.of(0xf7, 0, 0, 0, 0, 0, 1, 0);
  expect(readVni(bytes, 0)).toBe(-1);
  expect(readVni(new Uint8Array(8).fill(0xff), 0)).toBe(0xff_ffff);
});

test("an ARP request, and the reply to it", () => {
  const own = Uint8Array.of(2, 0x42, 10, 200, 0, 1);
  const other = Uint8Array.of(2, 0x42, 10, 200, 0, 2);
  const bytes = new Uint8Array(64);
  const arp: ArpPacket = { operation: 0, senderMacAt: 0, senderAddress: 0, targetAddress: 0 };
  writeArpRequest(own, 0x0ac8_0001, 0x0ac8_0002, bytes, 0);
  expect(decodeArp(bytes, 0, 28, arp)).toBe(true);
  expect(arp).toEqual({
    operation: 1,
    senderMacAt: 8,
    senderAddress: 0x0ac8_0001,
    targetAddress: 0x0ac8_0002,
  });
  writeArpReply(bytes, 0, other, bytes, 30);
  expect(decodeArp(bytes, 30, 28, arp)).toBe(true);
  expect(arp).toEqual({
    operation: 2,
    senderMacAt: 38,
    senderAddress: 0x0ac8_0002,
    targetAddress: 0x0ac8_0001,
  });
  expect(bytes.slice(38, 44)).toEqual(other);
  expect(bytes.slice(48, 54)).toEqual(own);
});

test.each([
  { at: 1, value: 6, what: "another hardware" },
  { at: 2, value: 0x86, what: "another protocol" },
  { at: 4, value: 8, what: "another length of addresses" },
  { at: 7, value: 3, what: "another operation" },
])("ARP of $what is not taken", ({ at, value }) => {
  const bytes = new Uint8Array(28);
  writeArpRequest(new Uint8Array(6), 1, 2, bytes, 0);
  const arp: ArpPacket = { operation: 0, senderMacAt: 0, senderAddress: 0, targetAddress: 0 };
  expect(decodeArp(bytes, 0, 27, arp)).toBe(false);
  bytes[at] = value;
  expect(decodeArp(bytes, 0, 28, arp)).toBe(false);
});
