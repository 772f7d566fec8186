import { expect, test } from "bun:test";
import type { OverlayEnd, OverlayPeer } from "../../../src/overlay/driver.ts";
import { planEntries } from "../../../src/overlay/plan-entries.ts";

const end: OverlayEnd = {
  address: "10.200.50.1",
  prefixLength: 16,
  vni: 1,
  port: 4789,
  underlayAddress: "0.0.0.0",
  device: "portmesh0",
};

function peer(changes: Partial<OverlayPeer> = {}): OverlayPeer {
  const peer = { name: "n2", overlayAddress: "10.200.3.7", underlayAddress: "192.0.2.7", port: 4790 };
  return { ...peer, secrets: null, ...changes };
}

test("a peer's MAC address is made of its overlay address", () => {
  const { entries, refused } = planEntries(end, [peer()], () => 1400);
  expect(refused).toEqual([]);
  expect(entries).toEqual([
    {
      name: "n2",
      overlayAddress: "10.200.3.7",
      macAddress: "02:42:0a:c8:03:07",
      underlayAddress: "192.0.2.7",
      port: 4790,
      mtuBytes: 1400,
      relayPorts: null,
    },
  ]);
});

test.each([
  [
    "an underlay of the other family",
    { underlayAddress: "2001:db8::7" },
    "this node's underlay address is IPv4 (0.0.0.0)",
  ],
  [
    "an underlay address that is none",
    { underlayAddress: "n2.example" },
    '"n2.example": it is not an IP address',
  ],
  ["this node's own address", { overlayAddress: "10.200.50.1" }, "it is this node's own"],
  ["an address below the subnet", { overlayAddress: "10.199.255.255" }, "it is outside 10.200.0.0/16"],
  ["an address above the subnet", { overlayAddress: "10.201.0.1" }, "it is outside 10.200.0.0/16"],
  [
    "an underlay address of the overlay",
    { underlayAddress: "10.200.3.7" },
    "an address of the overlay itself",
  ],
])("%s is refused, the others are not", (_, changes, reason) => {
  const { entries, refused } = planEntries(end, [peer(changes), peer({ name: "n3" })], () => 1400);
  expect(refused).toEqual([{ name: "n2", reason: expect.stringContaining(reason) }]);
  expect(entries.map(({ name }) => name)).toEqual(["n3"]);
});
