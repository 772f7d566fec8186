import { expect, test } from "bun:test";
import fc from "fast-check";
import { PublishedSources } from "../../../../src/proxy/udp/published-sources.ts";
import { createEndpoint, parseIp } from "../../../../src/wire/index.ts";

const sources = new PublishedSources([
  { addresses: ["127.0.0.0/8", "192.0.2.1"], ports: [53, 123] },
  { addresses: ["::1", "2001:db8::1"], ports: [53] },
  { addresses: ["192.0.2.2"], ports: [53, 5353] },
]);

function includes(address: string, port: number): boolean {
  const { family, bytes } = parseIp(address)!;
  const endpoint = createEndpoint();
  endpoint.bytes.set(bytes);
  endpoint.family = family;
  endpoint.port = port;
  return sources.includes(endpoint);
}

test.each([
  ["192.0.2.1", 53, true],
  ["192.0.2.1", 123, true],
  ["192.0.2.1", 5353, false],
  ["192.0.2.2", 53, true],
  ["192.0.2.2", 123, false],
  ["192.0.2.3", 53, false],
  ["127.1.2.3", 123, true],
  ["::1", 53, true],
  ["::1", 123, false],
  ["2001:db8::1", 53, true],
  ["2001:db8::2", 53, false],
  ["::ffff:192.0.2.1", 53, true],
  ["::ffff:192.0.2.3", 53, false],
] as const)("%s port %d: %p", (address, port, expected) => {
  expect(includes(address, port)).toBe(expected);
});

test("no other port of any address", () => {
  const ports = fc.integer({ min: 0, max: 65535 }).filter((port) => ![53, 123, 5353].includes(port));
  fc.assert(fc.property(fc.ipV4(), ports, (address, port) => !includes(address, port)));
});
