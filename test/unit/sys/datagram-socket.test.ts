/** The main thread's UDP socket: what becomes of what it sends. */
import { describe, expect, test } from "bun:test";
import { type Datagram, DatagramSocket } from "../../../src/sys/datagram-socket.ts";
import { parseIp } from "../../../src/wire/index.ts";
import { freeQuietPort } from "../../support/os/free-port.ts";
import { waitFor } from "../../support/time/wait-for.ts";

describe("DatagramSocket", () => {
  for (const host of ["127.0.0.1", "::1"]) {
    test(`that probes sends whole datagrams or reports that they are too large: ${host}`, async () => {
      const received: Datagram[] = [];
      const port = await freeQuietPort(host);
      const receiver = await DatagramSocket.open({
        host,
        port,
        onDatagram: (datagram) => received.push(datagram),
      });
      const sender = await DatagramSocket.open({
        host,
        port: await freeQuietPort(host),
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

  for (const [any, source, other] of [
    ["0.0.0.0", "127.0.0.9", "192.0.2.1"],
    ["::", "::1", "2001:db8::1"],
  ] as const) {
    test(`bound to ${any} sends from the given address, if the machine has it`, async () => {
      const received: Datagram[] = [];
      const port = await freeQuietPort(source);
      const receiver = await DatagramSocket.open({
        host: source,
        port,
        onDatagram: (datagram) => received.push(datagram),
      });
      const sender = await DatagramSocket.open({
        host: any,
        port: await freeQuietPort(any),
        onDatagram: () => {},
      });
      const [to, from] = [parseIp(source)!.bytes, parseIp(source)!.bytes];
      try {
        expect(sender.sendFrom(parseIp(other)!.bytes, Uint8Array.of(1), to, port)).toBe(false);
        expect(sender.sendFrom(from, Uint8Array.of(2), to, port)).toBe(true);
        expect(sender.sendFrom(from, new Uint8Array(20_000).fill(3), to, port)).toBe(true);
        await waitFor(() => received.length === 2, { what: "the datagrams" });
        expect(received.map(({ host, bytes }) => [host, bytes.length])).toEqual([
          [source, 1],
          [source, 20_000],
        ]);
      } finally {
        sender.close();
        receiver.close();
      }
      expect(sender.sendFrom(from, Uint8Array.of(4), to, port)).toBe(false);
    });
  }

  for (const [any, host, isAdopted] of [
    ["127.0.0.1", "127.0.0.1", false],
    ["0.0.0.0", "127.0.0.1", false],
    ["::1", "::1", false],
    ["::", "::1", false],
    ["::", "127.0.0.1", false],
    ["127.0.0.1", "127.0.0.1", true],
    ["::", "::1", true],
  ] as const) {
    test(`bound to ${any}${isAdopted ? ", of another process," : ""} loses nothing because a port of ${host} is closed`, async () => {
      const received: Datagram[] = [];
      const [port, closed] = [await freeQuietPort(host), await freeQuietPort(host)];
      const receiver = await DatagramSocket.open({
        host,
        port,
        onDatagram: (datagram) => received.push(datagram),
      });
      const own = { host: any, port: await freeQuietPort(any), onDatagram: () => {} };
      let sender = await DatagramSocket.open(own);
      try {
        if (isAdopted) {
          const fd = sender.duplicate();
          sender.close();
          sender = await DatagramSocket.open({ ...own, fd });
        }
        for (let i = 0; i < 10; i++) {
          sender.send(Uint8Array.of(i), host, closed); // the error is back before the next one is sent
          expect(sender.send(Uint8Array.of(i), host, port)).toBe(true);
        }
        await waitFor(() => received.length === 10, { what: "the datagrams" });
      } finally {
        sender.close();
        receiver.close();
      }
    });
  }
});
