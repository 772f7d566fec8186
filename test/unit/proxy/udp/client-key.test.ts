import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { ClientKey, KeyLayout } from "../../../../src/proxy/udp/client-key.ts";
import { Arena } from "../../../../src/sys/arena.ts";
import { CONTROL_MAX, writePacketInfo } from "../../../../src/sys/control-data.ts";
import { ReceiveBatch, receiveBatchBytes, SendBatch, sendBatchBytes } from "../../../../src/sys/mmsg.ts";
import { AF_INET, AF_INET6, writeSockaddr } from "../../../../src/sys/sockaddr.ts";
import { createEndpoint } from "../../../../src/wire/index.ts";
import { addressOf, endpoint, ipv4Bytes, pureIpv6Bytes } from "../../../support/random/arbitrary-ip.ts";

const arena = new Arena(receiveBatchBytes(2) + sendBatchBytes(2));
const received = new ReceiveBatch(arena, 2, true);
const sent = new SendBatch(arena, 2, true);
const port = fc.integer({ min: 0, max: 65535 });

/** As the kernel would leave it in slot 1. */
function arrive(family: number, address: Uint8Array, port: number, local: Int32Array): void {
  writeSockaddr(arena.bytes, received.nameAt(1), address, port);
  // the length field is the kernel's; the second slot's struct mmsghdr starts 64 bytes after the first
  const length = writePacketInfo(arena, received.controlAt(1), family, local, 0);
  arena.int32[(64 + 40) / 4] = length;
}

describe.each([
  ["IPv4", AF_INET, ipv4Bytes, Int32Array.of(0x0100007f)],
  ["IPv6", AF_INET6, pureIpv6Bytes, Int32Array.of(0x80fe, 2, 3, 4, 5)],
] as const)("KeyLayout for %s", (_, family, addresses, local) => {
  test.each([true, false])("answers go where the datagram came from (wildcard: %p)", (isWildcard) => {
    const layout = new KeyLayout(family, isWildcard);
    fc.assert(
      fc.property(addresses, port, (address, port) => {
        const key = new ClientKey();
        arrive(family, address, port, local);
        layout.read(received, 1, key);
        layout.writeDestination(key.toArray(), sent, 0);
        const name = (at: number) => [...arena.bytes.subarray(at, at + (family === AF_INET ? 16 : 28))];
        expect(name(sent.nameAt(0))).toEqual(name(received.nameAt(1)));
        const control = (at: number) => [...arena.bytes.subarray(at, at + CONTROL_MAX)];
        if (isWildcard) expect(control(sent.controlAt(0))).toEqual(control(received.controlAt(1)));
        const client = createEndpoint();
        layout.readPeer(key.toArray(), client);
        expect([client.port, ...client.bytes.subarray(0, address.length)]).toEqual([port, ...address]);
      }),
    );
  });

  test("what an inbound header named can be read back", () => {
    const layout = new KeyLayout(family, true);
    fc.assert(
      fc.property(addresses, endpoint, endpoint, (address, source, destination) => {
        const key = new ClientKey();
        arrive(family, address, 1, local);
        layout.read(received, 1, key);
        const [from, to] = [createEndpoint(), createEndpoint()];
        expect(layout.readNamed(key.toArray(), from, to)).toBe(false);
        key.appendEndpoint(source);
        key.appendEndpoint(destination);
        expect(layout.readNamed(key.toArray(), from, to)).toBe(true);
        for (const [read, given] of [
          [from, source],
          [to, destination],
        ] as const) {
          expect([read.family, read.port]).toEqual([given.family, given.port]);
          expect(addressOf(read, 6)).toEqual(addressOf(given, 6));
        }
      }),
    );
  });
});
