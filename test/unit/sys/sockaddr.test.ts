/** Byte vectors from netinet/in.h as Linux lays it out. */
import { expect, test } from "bun:test";
import {
  AF_INET,
  AF_INET6,
  addressFamily,
  SOCKADDR_MAX,
  sockaddrPort,
  writeSockaddr,
} from "../../../src/sys/sockaddr.ts";
import { parseIp } from "../../../src/wire/index.ts";

const V4 = "0200 1f90 c6336407 0000000000000000";
const V6 = "0a00 01bb 00000000 20010db8000000000000000000000001 00000000";

test.each([
  ["198.51.100.7", 8080, V4],
  ["2001:db8::1", 443, V6],
])("writeSockaddr %s port %d", (address, port, hex) => {
  const bytes = new Uint8Array(SOCKADDR_MAX + 8).fill(0xee);
  const length = writeSockaddr(bytes, 4, parseIp(address)!.bytes, port);
  const written = Buffer.from(bytes.subarray(4, 4 + length)).toString("hex");
  expect(written).toBe(hex.replaceAll(" ", ""));
  expect(bytes.subarray(0, 4).every((byte) => byte === 0xee)).toBe(true);
  expect(bytes.subarray(4 + length).every((byte) => byte === 0xee)).toBe(true);
  expect(sockaddrPort(bytes, 4)).toBe(port);
});

test.each([0, 1, 255, 256, 65_535])("port %d survives", (port) => {
  const bytes = new Uint8Array(SOCKADDR_MAX);
  writeSockaddr(bytes, 0, Uint8Array.of(127, 0, 0, 1), port);
  expect(sockaddrPort(bytes, 0)).toBe(port);
});

test.each([
  ["127.0.0.1", AF_INET],
  ["::1", AF_INET6],
  ["::ffff:1.2.3.4", AF_INET6],
  ["web.internal", 0],
  ["", 0],
])("addressFamily of %p", (text, family) => {
  expect(addressFamily(text)).toBe(family);
});
