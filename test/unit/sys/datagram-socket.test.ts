/** The main thread's UDP socket: what becomes of what it sends. */
import { describe, expect, test } from "bun:test";
import { type Datagram, DatagramSocket } from "../../../src/sys/datagram-socket.ts";
import { freeUdpPort } from "../../support/udp-peer.ts";
import { waitFor } from "../../support/wait-for.ts";

describe("DatagramSocket", () => {
  for (const host of ["127.0.0.1", "::1"]) {
    test(`that probes sends whole datagrams or tells that they are too large: ${host}`, async () => {
      const received: Datagram[] = [];
      const port = await freeUdpPort(host);
      const receiver = await DatagramSocket.open({
        host,
        port,
        onDatagram: (datagram) => received.push(datagram),
      });
      const sender = await DatagramSocket.open({
        host,
        port: await freeUdpPort(host),
        isProbing: true,
        onDatagram: () => {},
      });
      try {
        expect(sender.sendWhole(new Uint8Array(9000).fill(7), host, port)).toBe("sent");
        await waitFor(() => received.length === 1, { what: "the datagram" });
        expect(received[0]!.bytes).toEqual(new Uint8Array(9000).fill(7));
        expect(sender.sendWhole(new Uint8Array(65_536), host, port)).toBe("too-big");
        expect(sender.sendWhole(new Uint8Array(1), "not an address", port)).toBe("failed");
      } finally {
        sender.close();
        receiver.close();
      }
    });
  }
});
