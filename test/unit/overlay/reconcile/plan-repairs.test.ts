import { expect, test } from "bun:test";
import { CLOSED_TO_OTHERS } from "../../../../src/overlay/closed-device.ts";
import type { PeerEntry } from "../../../../src/overlay/plan-entries.ts";
import { planRepairs, ROUTE_PROTOCOL } from "../../../../src/overlay/reconcile/plan-repairs.ts";
import {
  type MadeDevice,
  NOTHING_MADE,
  type ReportedDevice,
  type WantedDevice,
} from "../../../../src/overlay/reconcile/state.ts";
import type { Link, ListedRoute } from "../../../../src/overlay/rtnetlink/index.ts";
import { RT_SCOPE_LINK, RT_TABLE_MAIN, RTN_UNICAST } from "../../../../src/wire/netlink/index.ts";

const INDEX = 7;
const FILTER = Uint8Array.of(6, 0, 0, 0, 2, 0, 0, 0);
const N2: PeerEntry = {
  ...{ name: "n2", overlayAddress: "10.200.0.2", macAddress: "02:42:0a:c8:00:02" },
  ...{ underlayAddress: "192.0.2.2", port: 4789, mtuBytes: 1450, relayPorts: null },
};
const WANTED: WantedDevice = {
  ...{ name: "portmesh0", alias: "portmesh prod/n1", mtuBytes: 1450, gsoMaxBytes: null },
  ...{ address: "10.200.0.1", prefixLength: 16 },
  frames: { macAddress: "02:42:0a:c8:00:01", port: 4789, filter: FILTER },
  peers: [N2],
};
const LINK: Link = {
  ...{ index: INDEX, name: "portmesh0", isUp: true, mtuBytes: 1450, macAddress: "02:42:0a:c8:00:01" },
  ...{ alias: "portmesh prod/n1", group: 0, master: 0, kind: "vxlan", vxlan: null },
  ...{ gsoMaxBytes: 65_536, groMaxBytes: 65_536, ipv4Settings: CLOSED_TO_OTHERS },
  ...{ hasIpv6LinkLocal: false, counters: null },
};
const ROUTE: ListedRoute = {
  ...{ destination: N2.overlayAddress, prefixLength: 32, interfaceIndex: INDEX },
  ...{ preferredSource: WANTED.address, mtuBytes: 1450, priority: 0 },
  ...{ table: RT_TABLE_MAIN, protocol: ROUTE_PROTOCOL, type: RTN_UNICAST, scope: RT_SCOPE_LINK },
};
const SUBNET_ROUTE: ListedRoute = { ...ROUTE, destination: "10.200.0.0", prefixLength: 16, protocol: 2 };
const ADDRESS = { interfaceIndex: INDEX, address: WANTED.address, prefixLength: 16 };
const NEIGHBOUR = { interfaceIndex: INDEX, address: N2.overlayAddress, macAddress: N2.macAddress };
const ENTRY = { interfaceIndex: INDEX, macAddress: N2.macAddress, destination: N2.underlayAddress };
const RIGHT: ReportedDevice = {
  link: LINK,
  addresses: [ADDRESS],
  routes: [SUBNET_ROUTE, ROUTE],
  neighbours: [NEIGHBOUR],
  forwarding: [ENTRY],
  filter: FILTER,
};
const MADE: MadeDevice = {
  mtuBytes: 1450,
  filter: FILTER,
  peers: new Map([[N2.overlayAddress, N2]]),
};

/** "add-route: its routes were changed" */
function plan(
  reported: Partial<ReportedDevice>,
  wanted: Partial<WantedDevice> = {},
  made: MadeDevice = MADE,
): string[] {
  const repairs = planRepairs({ ...WANTED, ...wanted }, { ...RIGHT, ...reported }, made);
  return repairs.map(({ do: what, fault }) => `${what}: ${fault?.text ?? "wanted"}`);
}

const link = (changes: Partial<Link>) => ({ link: { ...LINK, ...changes } });

test("what is right is left alone", () => {
  expect(plan({})).toEqual([]);
  expect(plan({}, {}, NOTHING_MADE)).toEqual([]);
});

test.each<[string, Partial<ReportedDevice>, string[]]>([
  ["down", link({ isUp: false }), ["change-link: it was down"]],
  ["renamed", link({ name: "other0" }), ["change-link: its name was other0"]],
  ["a port of a bridge", link({ master: 3 }), ["change-link: it was attached to a bridge or VRF"]],
  ["of another MTU", link({ mtuBytes: 1000 }), ["change-link: its MTU was 1000"]],
  ["of another alias", link({ alias: "mine" }), ['change-link: its alias was "mine"']],
  ["of another MAC address", link({ macAddress: "02:00" }), ["change-link: its MAC address was 02:00"]],
  [
    "open to be forwarded from",
    link({ ipv4Settings: new Map([...CLOSED_TO_OTHERS].map(([key]) => [key, 1])) }),
    ["change-link: its IPv4 settings, such as forwarding, were changed"],
  ],
  ["with IPv6 on it again", link({ hasIpv6LinkLocal: true }), ["change-link: wanted"]],
  ["without a filter", { filter: null }, ["set-filter: its filter was changed"]],
  ["without its address", { addresses: [] }, ["add-address: its address 10.200.0.1/16 was missing"]],
  [
    "of another prefix length",
    { addresses: [{ ...ADDRESS, prefixLength: 24 }] },
    ["remove-address: its address was 10.200.0.1/24", "add-address: its address 10.200.0.1/16 was missing"],
  ],
  ["without routes", { routes: [SUBNET_ROUTE] }, ["add-route: its routes were changed"]],
  ["without the subnet's route", { routes: [ROUTE] }, ["add-subnet-route: its routes were changed"]],
  [
    "with somebody's route over it",
    { routes: [SUBNET_ROUTE, { ...ROUTE, protocol: 4, mtuBytes: 600 }] },
    ["replace-route: its routes were changed"],
  ],
  ["without neighbours", { neighbours: [] }, ["set-neighbour: its neighbour entries were changed"]],
  [
    "with a stranger as a neighbour",
    { neighbours: [NEIGHBOUR, { ...NEIGHBOUR, address: "10.200.0.9" }] },
    ["remove-neighbour: its neighbour entries were changed"],
  ],
  [
    "that forwards elsewhere",
    { forwarding: [{ ...ENTRY, destination: "192.0.2.9" }] },
    ["set-forwarding: its forwarding entries were changed"],
  ],
  [
    "that forwards to a stranger",
    { forwarding: [ENTRY, { ...ENTRY, macAddress: "02:00:00:00:00:09" }] },
    ["remove-forwarding: its forwarding entries were changed"],
  ],
])("a device %s is repaired", (_, reported, repairs) => {
  expect(plan(reported)).toEqual(repairs);
});

test("what is another wish of our own is done without a fault", () => {
  const bare = { routes: [SUBNET_ROUTE], neighbours: [], forwarding: [] };
  const peers = ["set-forwarding: wanted", "set-neighbour: wanted", "add-route: wanted"];
  expect(plan(bare, {}, { ...MADE, peers: new Map() })).toEqual(peers);
  expect(plan({}, { peers: [] })).toEqual([
    "remove-forwarding: wanted",
    "remove-neighbour: wanted",
    "remove-route: wanted",
  ]);
  expect(plan({}, { mtuBytes: 1400 })).toEqual(["change-link: wanted"]);
  expect(plan({}, { peers: [{ ...N2, mtuBytes: 1400 }] })).toEqual(["replace-route: wanted"]);
  expect(plan({}, { peers: [{ ...N2, underlayAddress: "192.0.2.3" }] })).toEqual(["set-forwarding: wanted"]);
  const filter = Uint8Array.of(6, 0, 0, 0, 0, 0, 0, 0);
  expect(plan({}, { frames: { ...WANTED.frames!, filter } })).toEqual(["set-filter: wanted"]);
});

test("what others have over the device, and routes of another metric, are theirs", () => {
  const theirs = [
    { ...ROUTE, destination: "10.9.0.0", prefixLength: 16, protocol: 4 },
    { ...ROUTE, protocol: 4, priority: 100 },
    { ...ROUTE, protocol: 4, table: 77 },
  ];
  const addresses = [ADDRESS, { ...ADDRESS, address: "10.9.0.1" }];
  expect(plan({ routes: [SUBNET_ROUTE, ROUTE, ...theirs], addresses })).toEqual([]);
});

test("a device of packets has no frames to forward, and super-packets of a size", () => {
  const wanted = { frames: null, gsoMaxBytes: 60_000 };
  const packets = { neighbours: [], forwarding: [], filter: null };
  expect(plan({ ...packets, ...link({ macAddress: "", gsoMaxBytes: 60_000 }) }, wanted)).toEqual([]);
  expect(plan(packets, wanted)).toEqual(["change-link: its gso_max_size was 65536"]);
});

test("it is protected before it is up, and up before it has routes", () => {
  const all = plan({
    ...link({ isUp: false, name: "other0" }),
    ...{ addresses: [], routes: [], neighbours: [], forwarding: [], filter: null },
  });
  expect(all.map((text) => text.split(":")[0])).toEqual([
    ...["set-filter", "change-link", "change-link", "add-address"],
    ...["set-forwarding", "set-neighbour", "add-route"],
  ]);
});
