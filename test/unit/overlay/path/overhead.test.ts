/** Sizes as RFC 7348 and the Linux VXLAN device have them. */
import { expect, test } from "bun:test";
import {
  innerMtu,
  sealedOverheadBytes,
  udpOverheadBytes,
  vxlanOverheadBytes,
} from "../../../../src/overlay/path/overhead.ts";

test("VXLAN takes 50 bytes over IPv4 and 70 over IPv6", () => {
  expect([vxlanOverheadBytes(4), vxlanOverheadBytes(6)]).toEqual([50, 70]);
  expect(innerMtu(1500, vxlanOverheadBytes(4))).toBe(1450);
});

test("a sealed datagram takes its seal and what carries it", () => {
  expect([udpOverheadBytes(4), udpOverheadBytes(6)]).toEqual([28, 48]);
  expect([sealedOverheadBytes(4), sealedOverheadBytes(6)]).toEqual([74, 94]);
});
