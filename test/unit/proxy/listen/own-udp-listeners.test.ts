import { expect, test } from "bun:test";
import { ownUdpListeners } from "../../../../src/proxy/listen/own-udp-listeners.ts";

const LOCAL = ["127.0.0.1", "192.0.2.1", "::1", "2001:db8::1"];
const udp = (address: string, port: number) => ({ protocol: "udp", address, port }) as const;

test("a wildcard address is every address of its family, with all of loopback", () => {
  expect(ownUdpListeners([udp("0.0.0.0", 53), udp("::", 53), udp("0.0.0.0", 54)], LOCAL)).toEqual([
    { addresses: ["127.0.0.0/8", "127.0.0.1", "192.0.2.1"], ports: [53, 54] },
    { addresses: ["::1", "::1", "2001:db8::1"], ports: [53] },
  ]);
});

test("another address is itself, and TCP does not count", () => {
  const tcp = { protocol: "tcp", address: "192.0.2.1", port: 80 } as const;
  expect(ownUdpListeners([udp("192.0.2.1", 53), tcp], LOCAL)).toEqual([
    { addresses: ["192.0.2.1"], ports: [53] },
  ]);
});
