import { expect, test } from "bun:test";
import { ownAddress } from "../../../../src/node/cluster/own-address.ts";
import { configOf } from "../../../support/node/config-of.ts";

const ADDRESSES = [
  { interface: "lo", address: "127.0.0.1" },
  { interface: "eth0", address: "192.0.2.7" },
  { interface: "eth1", address: "10.0.0.7" },
  { interface: "eth0", address: "fe80::7" },
  { interface: "eth1", address: "fd00::7" },
  { interface: "eth0", address: "2001:db8::7" },
];

const NO_OVERLAYS: ReadonlySet<string> = new Set();

function address(
  node: string,
  cluster: string,
  route: string | null,
  addresses = ADDRESSES,
  overlays = NO_OVERLAYS,
): string {
  const config = configOf(
    `[node]\nname = "a"\n${node}\n[cluster]\nname = "prod"\ninsecure = true\n${cluster}`,
  );
  return ownAddress(
    config.node,
    config.cluster!,
    () => route,
    addresses,
    () => overlays,
  );
}

test.each([
  ["the configured one wins", 'advertise = "198.51.100.1"', 'bind = "10.0.0.7:7946"', "198.51.100.1"],
  ["then the one it binds to", "", 'bind = "10.0.0.7:7946"', "10.0.0.7"],
  ["then that of the default route", "", 'bind = "0.0.0.0:7946"', "192.0.2.7"],
  ["of the family that it binds to", "", 'bind = "[::]:7946"', "2001:db8::7"],
])("%s", (_, node, cluster, expected) => {
  expect(address(node, cluster, "eth0")).toBe(expected);
});

test("without default route the only address there is", () => {
  expect(address("", "", null, ADDRESSES.slice(0, 2))).toBe("192.0.2.7");
});

test("never that of an overlay, which a killed node may have left behind", () => {
  const addresses = [...ADDRESSES.slice(0, 2), { interface: "portmesh4789", address: "10.200.3.4" }];
  expect(address("", "", null, addresses, new Set(["portmesh4789"]))).toBe("192.0.2.7");
  expect(() => address("", "", null, addresses)).toThrow("cannot determine the IPv4 address");
});

test("never one of another family than cluster.bind", () => {
  expect(() => address("", 'bind = "[::]:7946"', "eth0", ADDRESSES.slice(0, 3))).toThrow(
    "cannot determine the IPv6 address",
  );
});

test("where it would be a guess the error says what was found and what to set", () => {
  expect(() => address("", "", null)).toThrow(
    expect.objectContaining({
      code: "no-address",
      message:
        "cannot determine the IPv4 address at which other nodes reach this one (no default route; other addresses: 192.0.2.7 on eth0, 10.0.0.7 on eth1): set node.advertise, or cluster.bind to one address",
    }),
  );
  expect(() => address("", "", "wg0", ADDRESSES.slice(0, 1))).toThrow(
    "(no address on wg0, which has the default route; other addresses: none)",
  );
});

test("overlays are asked for only where the address depends on them; why the kernel does not say is in the error", () => {
  const { node, cluster } = configOf('[node]\nname = "a"\n[cluster]\nname = "prod"\ninsecure = true');
  const fail = () => {
    throw new Error("cannot list links: EAGAIN");
  };
  const addressOf = (advertise: string | null) =>
    ownAddress({ ...node, advertise }, cluster!, () => null, ADDRESSES.slice(0, 2), fail);
  expect(addressOf("198.51.100.1")).toBe("198.51.100.1");
  expect(() => addressOf(null)).toThrow("(cannot list links: EAGAIN): set node.advertise");
});
