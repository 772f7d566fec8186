import { expect, test } from "bun:test";
import fc from "fast-check";
import ipaddr from "ipaddr.js";
import { formatIp, type IpFamily, PrefixSet, parseIp, parsePrefix } from "../../../../src/wire/index.ts";
import { ip } from "../../../support/random/arbitrary-ip.ts";

function matches(set: PrefixSet, text: string): boolean {
  const { family, bytes } = parseIp(text)!;
  return set.matches(family, bytes, 0);
}

/** The slow oracle: v4-mapped is IPv4, on both sides. */
function oracleMatches(prefixes: readonly string[], family: IpFamily, bytes: Uint8Array): boolean {
  const address = ipaddr.process(formatIp(family, bytes));
  return prefixes.some((text) => {
    let [network, bits] = ipaddr.parseCIDR(text);
    if (network.kind() === "ipv6" && (network as ipaddr.IPv6).isIPv4MappedAddress() && bits >= 96) {
      network = (network as ipaddr.IPv6).toIPv4Address();
      bits -= 96;
    }
    return network.kind() === address.kind() && address.match(network, bits);
  });
}

test.each([
  ["10.0.0.0/8", "10.255.0.1", true],
  ["10.0.0.0/8", "11.0.0.0", false],
  ["10.1.2.3/8", "10.9.9.9", true],
  ["10.0.0.0/8", "::ffff:10.1.1.1", true],
  ["::ffff:10.0.0.0/104", "10.1.1.1", true],
  ["::1", "::1", true],
  ["::1", "::2", false],
  ["2001:db8::/33", "2001:db8:7fff::1", true],
  ["2001:db8::/33", "2001:db8:8000::1", false],
  ["0.0.0.0/0", "255.255.255.255", true],
  ["0.0.0.0/0", "::1", false],
  ["::/0", "2001:db8::1", true],
  ["::/0", "10.0.0.1", false],
  ["::/0", "::ffff:10.0.0.1", false],
  ["192.0.2.1/32", "192.0.2.1", true],
  ["192.0.2.1/31", "192.0.2.0", true],
])("PrefixSet %s for %s: %p", (prefix, address, expected) => {
  expect(matches(PrefixSet.from([prefix]), address)).toBe(expected);
});

test("parsePrefix clears host bits and gives a bare address all bits", () => {
  expect(parsePrefix("10.1.2.3/12")).toEqual({
    family: 4,
    network: Uint8Array.of(10, 0, 0, 0),
    lengthBits: 12,
  });
  expect(parsePrefix("::1")?.lengthBits).toBe(128);
});

test.each([
  "",
  "/8",
  "10.0.0.0/",
  "10.0.0.0/33",
  "::/129",
  "10.0.0.0/08",
  "10.0.0.0/-1",
  "10.0.0.0/8/8",
  "10/8",
])("parsePrefix refuses %p", (text) => {
  expect(parsePrefix(text)).toBeNull();
  expect(() => PrefixSet.from(["10.0.0.0/8", text])).toThrow(`"${text}"`);
});

test("PrefixSet.matchesEverything needs both families", () => {
  expect(PrefixSet.from(["0.0.0.0/0", "::/0"]).matchesEverything).toBe(true);
  expect(PrefixSet.from(["10.0.0.0/8", "0.0.0.0/0", "::1", "::/0"]).matchesEverything).toBe(true);
  expect(PrefixSet.from(["0.0.0.0/0"]).matchesEverything).toBe(false);
  expect(PrefixSet.from(["::/0"]).matchesEverything).toBe(false);
  expect(PrefixSet.from(["::ffff:0:0/96", "::/0"]).matchesEverything).toBe(true);
});

test("PrefixSet without prefixes matches nothing", () => {
  const none = PrefixSet.from([]);
  expect(none.isEmpty).toBe(true);
  expect(none.matchesEverything).toBe(false);
  expect(matches(none, "10.0.0.1")).toBe(false);
  expect(matches(none, "::")).toBe(false);
});

test("PrefixSet agrees with ipaddr.js", () => {
  const prefix = fc.record({ ip, drop: fc.nat(128) }).map(({ ip, drop }) => {
    const width = ip.bytes.length * 8;
    return { ...ip, text: `${formatIp(ip.family, ip.bytes)}/${Math.max(0, width - drop)}` };
  });
  fc.assert(
    fc.property(fc.array(prefix, { maxLength: 8 }), ip, fc.nat(127), (prefixes, stranger, flippedBit) => {
      const texts = prefixes.map(({ text }) => text);
      const set = PrefixSet.from(texts);
      // Random addresses hardly ever match, so ask for the networks' own and for neighbours one bit away as well.
      const neighbours = prefixes.map(({ family, bytes }) => {
        const near = bytes.slice();
        const bit = flippedBit % (near.length * 8);
        near[bit >> 3]! ^= 0x80 >> (bit & 7);
        return { family, bytes: near };
      });
      for (const { family, bytes } of [stranger, ...prefixes, ...neighbours]) {
        const padded = Uint8Array.of(9, 9, 9, ...bytes, 9);
        expect(set.matches(family, padded, 3)).toBe(oracleMatches(texts, family, bytes));
      }
    }),
    { numRuns: 500 },
  );
});
