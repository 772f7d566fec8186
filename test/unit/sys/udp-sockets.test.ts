import { expect, test } from "bun:test";
import { UdpSockets } from "../../../src/sys/udp-sockets.ts";
import { parseIp } from "../../../src/wire/index.ts";
import { UdpPeer } from "../../support/load/udp-peer.ts";

const bytes = (address: string) => parseIp(address)!.bytes;

test.each([
  ["127.0.0.1", ["127.0.0.1"], ["127.0.0.2", "::1"]],
  ["0.0.0.0", ["127.0.0.1", "127.0.0.2"], ["::1"]],
  ["::1", ["::1"], ["127.0.0.1", "fd00::1"]],
  ["::", ["::1", "fd00::1"], []],
])("a socket on %s takes datagrams to %p, not to %p", async (address, yes, no) => {
  const socket = await UdpPeer.open(address);
  for (const other of yes) expect(new UdpSockets().isBound(bytes(other), socket.port), other).toBe(true);
  for (const other of no) expect(new UdpSockets().isBound(bytes(other), socket.port), other).toBe(false);
  const { port } = socket;
  socket.close();
  for (const other of [...yes, ...no])
    expect(new UdpSockets().isBound(bytes(other), port), other).toBe(false);
});
