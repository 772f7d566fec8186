import { expect, test } from "bun:test";
import type { OverlayEnd } from "../../../../src/overlay/driver.ts";
import { MEMBERS_MAX, PORTS_MAX } from "../../../../src/overlay/kernel/frame-filter.ts";
import { planFilter } from "../../../../src/overlay/kernel/plan-filter.ts";
import type { PeerEntry } from "../../../../src/overlay/plan-entries.ts";

const OWN_PORTS = { tcp: 4789, udp: [4790, 4791] };
const open: OverlayEnd = {
  ...{ address: "10.200.50.1", prefixLength: 16, vni: 1, port: 4789 },
  ...{ underlayAddress: "0.0.0.0", device: "portmesh0" },
};
const closed: OverlayEnd = { ...open, relaysOnly: OWN_PORTS };

function entry(host: number, relayPorts: PeerEntry["relayPorts"] = OWN_PORTS): PeerEntry {
  const overlayAddress = `10.200.${host >> 8}.${host & 0xff}`;
  const fixed = { macAddress: "", underlayAddress: "192.0.2.7", port: 4789, mtuBytes: 1400 };
  return { name: `n${host}`, overlayAddress, relayPorts, ...fixed };
}

test("where nothing is encrypted members may send everything", () => {
  const { plan, refused } = planFilter(open, [entry(1), entry(2)]);
  expect(plan).toEqual({ address: open.address, members: ["10.200.0.1", "10.200.0.2"], relays: null });
  expect(refused).toEqual([]);
});

test("the ports of all members are distinguished from this node's own", () => {
  const entries = [entry(1), entry(2, { tcp: 5789, udp: [5790] }), entry(3, null), entry(4)];
  const { plan } = planFilter(closed, entries);
  expect(plan.members).toHaveLength(4);
  expect(plan.relays).toEqual({
    own: OWN_PORTS,
    memberTcp: [4789, 5789],
    memberUdp: [4790, 4791, 5790],
  });
});

test("peers beyond the room of the filter are refused, with the reason", () => {
  const entries = Array.from({ length: MEMBERS_MAX + 2 }, (_, index) => entry(index + 1));
  const { plan, entries: taken, refused } = planFilter(closed, entries);
  expect(plan.members).toHaveLength(MEMBERS_MAX);
  expect(taken).toHaveLength(MEMBERS_MAX);
  expect(refused.map(({ name }) => name)).toEqual([`n${MEMBERS_MAX + 1}`, `n${MEMBERS_MAX + 2}`]);
  expect(refused[0]!.reason).toContain(`the filter of portmesh0 holds at most ${MEMBERS_MAX} nodes`);
});

test("peers with yet another port are refused, those with a known one are not", () => {
  const entries = Array.from({ length: PORTS_MAX + 1 }, (_, index) =>
    entry(index + 1, { tcp: 10_000 + index, udp: [] }),
  );
  const { refused } = planFilter(closed, [...entries, entry(99, { tcp: 10_000, udp: [] })]);
  expect(refused.map(({ name }) => name)).toEqual([`n${PORTS_MAX + 1}`]);
});
