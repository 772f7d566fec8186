/** What continues of a node is the same on the other side, with other numbers of descriptors. */
import { expect, test } from "bun:test";
import type { HandedCluster } from "../../../../src/node/cluster/cluster.ts";
import {
  packCluster,
  packProxy,
  unpackCluster,
  unpackProxy,
} from "../../../../src/node/handover/node-state.ts";

const END = {
  address: "10.200.0.1",
  prefixLength: 16,
  vni: 4096,
  port: 4789,
  underlayAddress: "192.0.2.1",
  device: "portmesh4789",
};

function clusterWith(tun: number): HandedCluster {
  return {
    catalog: "all of it",
    members: {
      membership: {
        incarnation: 7,
        members: [],
        serf: { ltime: 3, eventLTime: 2, queryLTime: 1, events: [], statusLTimes: [["n2", 2]] },
      },
    },
    overlay: { device: { driver: "userspace", end: END, fd: tun } },
  };
}

test("a cluster, with the descriptor of its device", () => {
  const packed = packCluster(clusterWith(13));
  expect(packed.fds).toEqual([13]);
  expect(unpackCluster({ ...packed, fds: [7] })).toEqual(clusterWith(7));
});

test("a device that needs no descriptor", () => {
  const packed = packCluster(clusterWith(-1));
  expect(packed.fds).toEqual([]);
  expect(unpackCluster(packed)).toEqual(clusterWith(-1));
});

test("no cluster", () => {
  const alone: HandedCluster = { catalog: "", members: null, overlay: null };
  expect(unpackCluster(packCluster(alone))).toEqual(alone);
});

test("sessions and totals", () => {
  const rows = new Uint8Array(new Int32Array([9, 0, 0, 40_000, 1, 6, 20, 0, 77]).buffer);
  const sockets = [{ listener: "udp 0.0.0.0:53", index: 1, targets: ["one 10.0.0.1 53 "], rows }];
  const udp = { sockets, claims: [{ worker: 1, block: 40_000, descriptor: 1 }] };
  const counters = {
    services: [["web", [1, 2.5]] as const],
    tasks: [],
    peers: [],
    relayDrops: [1],
    relayRefusals: [],
  };
  const packed = packProxy({ value: udp, descriptors: [21, 22] }, counters);
  expect(unpackProxy({ ...packed, fds: [3, 4] })).toEqual({
    counters,
    udp: { value: udp, descriptors: [3, 4] },
  });
});
