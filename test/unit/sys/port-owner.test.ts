import { expect, test } from "bun:test";
import { findUdpPortOwner } from "../../../src/sys/port-owner.ts";

test.each(["127.0.0.1", "::1"])(
  "findUdpPortOwner names the process that has a port at %s",
  async (hostname) => {
    const socket = await Bun.udpSocket({ hostname });
    const { port } = socket;
    try {
      expect(findUdpPortOwner(port)?.process?.pid).toBe(process.pid);
    } finally {
      socket.close();
    }
  },
);

test("a port that nobody has is nobody's", () => {
  // 0 is never bound
  expect(findUdpPortOwner(0)).toBeNull();
});
