import { beforeEach, describe, expect, test } from "bun:test";
import type { NodeRecord, OverlayRecord } from "../../../../src/catalog/index.ts";
import type { ClusterConfig, OverlayConfig } from "../../../../src/config/index.ts";
import { reachOf } from "../../../../src/node/facts/overlay-facts.ts";
import { NodeKeys } from "../../../../src/node/overlay/node-keys.ts";
import { Overlay } from "../../../../src/node/overlay/overlay.ts";
import { OverlayError } from "../../../../src/overlay/index.ts";
import { nodeRecord } from "../../../support/catalog/catalog-records.ts";
import { FakeDrivers } from "../../../support/node/fake-overlay.ts";
import { ManualClock } from "../../../support/time/manual-clock.ts";
import { waitFor } from "../../../support/time/wait-for.ts";

const KEY = Buffer.alloc(32, 7).toString("base64");
const OTHER_KEY = Buffer.alloc(32, 8).toString("base64");
const PEER_KEYS = new NodeKeys();
const UNKNOWN_PEER = new Map<string, NodeRecord>();

const GONE = new OverlayError("device-gone", "somebody has removed it");
const TAKEN = new OverlayError("port-taken", "somebody else has the port");

let clock: ManualClock;
let drivers: FakeDrivers;
let lines: string[];
let changes: number;
let ownAddresses: string[];

beforeEach(() => {
  ownAddresses = [];
  clock = new ManualClock();
  drivers = new FakeDrivers();
  lines = [];
  changes = 0;
});

function overlay(config: Partial<OverlayConfig> = {}, keys: readonly string[] = [KEY], self = "m"): Overlay {
  const cluster: ClusterConfig = {
    name: "prod",
    keys,
    keysFile: null,
    join: [],
    bind: { host: "0.0.0.0", port: 7946 },
    profile: "lan",
    isInsecure: keys.length === 0,
  };
  return new Overlay({
    self,
    config: {
      driver: "userspace",
      port: 4789,
      vni: 4096,
      subnet: "10.200.0.0/16",
      encrypt: keys.length > 0,
      ...config,
    },
    cluster,
    address: "192.0.2.1",
    hasAddress: (address) => ownAddresses.includes(address),
    libcrypto: "OpenSSL 3.0.17",
    clock,
    open: drivers.open,
    watchPaths: drivers.watchPaths,
    log: {
      opened: ({ name, passedOver }) =>
        lines.push([name, ...passedOver.map(({ reason }) => reason)].join(": ")),
      moved: (from, to) => lines.push(`moved ${from} ${to}`),
      refused: (driver, message) => lines.push(`refused ${driver} ${message}`),
      recovered: (device) => lines.push(`recovered ${device}`),
      repaired: ({ what, times }) => lines.push(`repaired ${times} ${what}`),
      blocked: (node, reason) => lines.push(`blocked ${node} ${reason}`),
      noEchoes: (error) => lines.push(`no echoes ${error.message}`),
      paths: {
        changed: (told) =>
          lines.push(...told.map(({ node, isUp, cause }) => `${node} ${isUp ? "up" : `down: ${cause}`}`)),
        forget: (node) => lines.push(`forgets ${node}`),
      },
    },
    onChange: () => changes++,
  });
}

/** Another node with an end of the overlay. */
function other(end: Partial<OverlayRecord> = {}, address = "192.0.2.2"): NodeRecord {
  const defaults: OverlayRecord = {
    driver: "userspace",
    address: "10.200.9.9",
    vni: 4096,
    port: 4789,
    encrypt: true,
    publicKey: PEER_KEYS.publicKey,
  };
  const udpPort = end.driver === "none" ? 4789 : 7946;
  return nodeRecord({ relay: { address, port: 4789, udpPort }, overlay: { ...defaults, ...end } });
}

/** The nodes announce this now. */
function follow(
  made: Overlay,
  nodes: ReadonlyMap<string, NodeRecord>,
  clusterKeys: readonly string[] = [KEY],
): void {
  made.follow({ address: "192.0.2.1", clusterKeys, nodes, active: new Set() });
}

function started(nodes: ReadonlyMap<string, NodeRecord>, ...rest: Parameters<typeof overlay>): Overlay {
  const made = overlay(...rest);
  made.start(nodes, null);
  return made;
}

/** null: its own end has none. */
function troubleOf({ status }: Overlay): string | null {
  return status.problems[0]?.message ?? null;
}

describe("the driver", () => {
  test.each([
    ["auto", true, {}, "none"],
    ["auto", false, {}, "kernel"],
    ["auto", false, { kernel: "no vxlan" }, "none: no vxlan"],
    ["userspace", true, {}, "userspace"],
    ["userspace", false, {}, "userspace"],
    ["kernel", true, {}, "kernel"],
    ["none", true, {}, "none"],
  ] as const)("%s, encrypt %p, with %j: %s", (driver, encrypt, refusals, told) => {
    Object.assign(drivers.refusals, refusals);
    const { announcement } = started(UNKNOWN_PEER, { driver, encrypt }).facts;
    expect(lines).toEqual([told]);
    expect(announcement.driver).toBe(told.split(":")[0] as "none");
    expect(announcement.address === null).toBe(announcement.driver === "none");
  });

  test("sends from the announced address as long as the machine has it", async () => {
    ownAddresses = ["192.0.2.1", "192.0.2.7"];
    const made = started(UNKNOWN_PEER);
    for (const [addresses, underlay] of [
      [["192.0.2.7"], "0.0.0.0"],
      [["192.0.2.7", "192.0.2.1"], "192.0.2.1"],
    ] as const) {
      ownAddresses = [...addresses];
      const before = drivers.ends.length;
      for (let i = 0; i < 30; i++) made.tick();
      await waitFor(() => drivers.ends.length > before, { what: "another driver" });
      expect(drivers.ends.at(-1)!.underlayAddress).toBe(underlay);
    }
    expect(drivers.ends.map(({ underlayAddress }) => underlayAddress)).toEqual([
      "192.0.2.1",
      "0.0.0.0",
      "192.0.2.1",
    ]);
    expect(drivers.running).toHaveLength(1);
  });

  test("that is asked for and cannot be had is an error", () => {
    drivers.refusals.kernel = "no vxlan";
    expect(() => started(UNKNOWN_PEER, { driver: "kernel" })).toThrow("no vxlan");
  });

  test.each([
    ["kernel", "kernel"],
    ["userspace", "userspace"],
    ["auto", "kernel"],
  ] as const)("%s that needs what somebody else has is waited for", async (wanted, driver) => {
    Object.assign(drivers.refusals, { [driver]: TAKEN });
    const made = started(UNKNOWN_PEER, { driver: wanted, encrypt: wanted === "userspace" });
    expect(made.facts.announcement).toMatchObject({ driver, address: null });
    expect(made.facts.udpPort).toBe(7946); // the overlay's port is left to the driver
    expect(made.status).toMatchObject({ driver, address: null, passedOver: [] });
    expect(troubleOf(made)).toBe(TAKEN.message);
    await clock.advance(60_000);
    expect(lines).toEqual([`refused ${driver} ${TAKEN.message}`]);
    expect(changes).toBe(0);
    Object.assign(drivers.refusals, { [driver]: undefined });
    await clock.advance(64_000);
    expect(made.facts.announcement).toMatchObject({ driver, address: expect.any(String) });
    expect(troubleOf(made)).toBeNull();
    expect(lines.slice(1)).toEqual([driver]);
    expect(changes).toBe(1);
  });

  test("that cannot be opened again is waited for, whatever the reason", async () => {
    const made = started(UNKNOWN_PEER);
    drivers.error = GONE;
    drivers.refusals.userspace = "no file descriptors";
    drivers.report();
    await clock.advance(1_000);
    expect(made.status.driver).toBe("userspace");
    expect(troubleOf(made)).toBe("no file descriptors");
    drivers.error = null;
    delete drivers.refusals.userspace;
    await clock.advance(4_000);
    expect(troubleOf(made)).toBeNull();
    expect(made.status.address).not.toBeNull();
    expect(lines).toEqual([
      "userspace",
      "repaired 1 it was removed",
      "refused userspace no file descriptors",
      "userspace",
    ]);
  });

  test("is looked at soon after a report, once after many", async () => {
    started(UNKNOWN_PEER);
    const before = drivers.applied;
    for (let i = 0; i < 100; i++) drivers.report();
    await clock.advance(100);
    expect(drivers.applied).toBe(before + 1);
    for (let i = 0; i < 10; i++) {
      drivers.report();
      await clock.advance(100);
    }
    expect(drivers.applied).toBeLessThanOrEqual(before + 4);
  });

  test("has a device that is repaired at once, and ever later when it is changed again and again", async () => {
    const made = started(UNKNOWN_PEER);
    const down = { kind: "down", text: "it was down" } as const;
    const seen = { repaired: [], held: [], failures: [], refused: [] };
    drivers.look = (mayRepair) => (mayRepair ? { ...seen, repaired: [down] } : { ...seen, held: [down] });
    drivers.report();
    await clock.advance(100);
    expect(lines.slice(1)).toEqual(["repaired 1 it was down"]);
    for (let i = 0; i < 60; i++) {
      drivers.report();
      await clock.advance(1_000);
    }
    expect(lines.slice(1)).toEqual(Array.from({ length: 11 }, (_, i) => `repaired ${i + 1} it was down`));
    expect(troubleOf(made)).toBe("portmesh4789: it was down");
    drivers.look = () => seen;
    await clock.advance(200_000);
    expect(troubleOf(made)).toBeNull();
    drivers.look = (mayRepair) => ({ ...seen, repaired: mayRepair ? [down] : [] });
    drivers.report();
    await clock.advance(1_000);
    expect(lines.at(-1)).toBe("repaired 1 it was down");
  });

  test("that something fails for is told once, and once when it does not any more", async () => {
    const made = started(UNKNOWN_PEER);
    const seen = { repaired: [], held: [], failures: [], refused: [] };
    drivers.look = () => ({ ...seen, failures: ["cannot change link 7: busy"] });
    drivers.report();
    await clock.advance(30_000);
    expect(troubleOf(made)).toBe("cannot change link 7: busy");
    drivers.look = () => seen;
    await clock.advance(64_000);
    expect(troubleOf(made)).toBeNull();
    expect(lines.slice(1)).toEqual([
      "refused userspace cannot change link 7: busy",
      "recovered portmesh4789",
    ]);
  });

  test("that does not get packets to a node is told once, with what is in the way", async () => {
    const made = started(new Map([["b", other()]]));
    const seen = { repaired: [], held: [], failures: [], refused: [] };
    const reason = "cannot add a route to 10.200.9.9: another program has added one";
    drivers.look = () => ({ ...seen, refused: [{ name: "b", reason }] });
    for (let i = 0; i < 5; i++) {
      drivers.report();
      await clock.advance(1_000);
    }
    expect(made.status.peers[0]).toMatchObject({ path: "direct", notes: [reason] });
    expect(lines.slice(1)).toEqual([`blocked b ${reason}`]);
    drivers.look = () => seen;
    drivers.report();
    await clock.advance(1_000);
    drivers.setUp("b", true);
    drivers.look = () => ({ ...seen, refused: [{ name: "b", reason }] });
    drivers.report();
    await clock.advance(1_000);
    expect(lines.slice(2)).toEqual(["b up", `b down: ${reason}`]);
    expect(made.status.peers[0]!.path).toBe("direct"); // although echoes may still come
  });

  test("gets this node's end", () => {
    started(UNKNOWN_PEER, { port: 5000 });
    expect(drivers.ends[0]).toMatchObject({
      prefixLength: 16,
      vni: 4096,
      port: 5000,
      underlayAddress: "0.0.0.0",
      device: "portmesh5000",
    });
  });

  test("holds the port, so UDP relays share the one of gossip", () => {
    const made = started(UNKNOWN_PEER);
    expect(made.facts.udpPort).toBe(7946);
    expect(made.facts.sharedUdpAddresses).toEqual(["0.0.0.0"]);
    const none = started(UNKNOWN_PEER, { driver: "none" });
    expect(none.facts.udpPort).toBe(4789);
    expect(none.facts.sharedUdpAddresses).toBeNull();
  });

  test("that encrypts takes relays in clear only over frames that are sealed", () => {
    const taken = (config: Partial<OverlayConfig>) => started(UNKNOWN_PEER, config).facts.acceptsClear;
    expect(taken({ encrypt: false })).toBe("always");
    expect(taken({ driver: "kernel" })).toEqual([]);
    expect(taken({ driver: "none" })).toEqual([]);
    const made = started(UNKNOWN_PEER);
    expect(made.facts.acceptsClear).toEqual([made.facts.announcement.address!]);
  });

  test("finds the place that it needs cleared of what a killed node has left", () => {
    started(UNKNOWN_PEER, { driver: "userspace" });
    expect(drivers.removals).toBe(1);
    started(UNKNOWN_PEER, { driver: "none" });
    expect(drivers.removals).toBe(2);
  });

  test("is closed at the end", async () => {
    const made = started(UNKNOWN_PEER);
    expect(drivers.running).toHaveLength(1);
    await made.close();
    expect(drivers.running).toEqual([]);
  });
});

describe("the address", () => {
  test("is the one it had, while nobody wants it", () => {
    const made = overlay();
    made.start(UNKNOWN_PEER, "10.200.1.2");
    expect(made.facts.announcement.address).toBe("10.200.1.2");
  });

  test("that a lower name has is given up, with a driver of the new one", async () => {
    const made = started(UNKNOWN_PEER);
    const { address, publicKey } = made.facts.announcement;
    const before = address!;
    follow(made, new Map([["z", other({ address: before })]]));
    expect(made.facts.announcement).toMatchObject({ address: before, publicKey });
    const nodes = new Map([["a", other({ address: before })]]);
    follow(made, nodes);
    expect(made.facts.announcement).toMatchObject({ driver: "userspace", address: null });
    expect(made.facts.udpPort).toBe(7946); // relays for UDP stay where they are
    await waitFor(() => changes > 0, { what: "the new driver" });
    follow(made, nodes);
    const after = made.facts.announcement.address!;
    expect(after).not.toBe(before);
    expect(drivers.running).toEqual([`userspace ${after}`]);
    expect(lines.at(-1)).toBe(`moved ${before} ${after}`);
    expect(made.facts.announcement.publicKey).not.toBe(publicKey);
    expect(drivers.peers.map(({ overlayAddress }) => overlayAddress)).toEqual([before]);
  });

  test("that is given up in a cluster without keys leaves the others reached over the new one", async () => {
    const plain = { encrypt: false, publicKey: null };
    const made = started(UNKNOWN_PEER, {}, []);
    const nodes = new Map([
      ["a", other({ ...plain, address: made.facts.announcement.address })],
      ["b", other(plain, "192.0.2.3")],
    ]);
    follow(made, nodes);
    await waitFor(() => changes > 0, { what: "the new driver" });
    follow(made, nodes);
    expect(drivers.applied).toBe(1);
    expect(drivers.peers.map(({ name }) => name)).toEqual(["a", "b"]);
  });

  test("of two others with one address, the lower name is served", () => {
    started(
      new Map([
        ["c", other()],
        ["b", other({}, "192.0.2.3")],
      ]),
    );
    expect(drivers.peers.map(({ name }) => name)).toEqual(["b"]);
  });
});

describe("another node", () => {
  const reached = (made: Overlay, record: NodeRecord) => reachOf("b", record, made.facts);
  const direct = { address: "192.0.2.2", port: 4789, udpPort: 7946 };
  const inside = { address: "10.200.9.9", port: 4789, udpPort: 7946, isOverlay: true };

  test("is reached over the overlay once something has come back, and its own address before and after", () => {
    const record = other();
    const made = started(new Map([["b", record]]));
    expect(reached(made, record)).toEqual({ ...direct, isSealed: true });
    drivers.setUp("b", true);
    expect(changes).toBe(1);
    expect(reached(made, record)).toEqual({ ...inside, isSealed: false });
    drivers.setUp("b", false);
    expect(reached(made, record)).toEqual({ ...direct, isSealed: true });
  });

  test("is reached at its own address from this node's, and over the overlay from the overlay's", () => {
    const record = other();
    const made = started(new Map([["b", record]]));
    const source = "192.0.2.1";
    expect(reachOf("b", record, made.facts, source)).toEqual({ ...direct, isSealed: true, source });
    drivers.setUp("b", true);
    expect(reachOf("b", record, made.facts, source)).toEqual({ ...inside, isSealed: false });
  });

  test("in plain VXLAN of the kernel is reached by sealed relays when one of both encrypts", () => {
    const record = other({ driver: "kernel" });
    const made = started(new Map([["b", record]]), { driver: "kernel", encrypt: true });
    drivers.setUp("b", true);
    expect(drivers.peers[0]!.secrets).toBeNull();
    expect(reached(made, record)).toEqual({ ...inside, isSealed: true });
  });

  test("without a driver, or of a version without an overlay, is reached by its own address", () => {
    const made = started(UNKNOWN_PEER);
    const none = other({ driver: "none", address: null });
    expect(reached(made, none)).toEqual({ ...direct, udpPort: 4789, isSealed: true });
    const old = nodeRecord({ relay: { address: "192.0.2.2", port: 4789 } });
    expect(reached(made, old)).toEqual({ ...direct, udpPort: 4789, isSealed: true });
    expect(reached(made, nodeRecord())).toBeNull();
  });

  test("of a version that does not tell its UDP port has it above the one that its driver holds", () => {
    const relay = { address: "192.0.2.2", port: 4789 };
    const made = started(UNKNOWN_PEER);
    expect(reached(made, { ...other(), relay })!.udpPort).toBe(4790);
    expect(reached(made, { ...other({ driver: "none", address: null }), relay })!.udpPort).toBe(4789);
  });

  test("of a version that does not tell its UDP port sends to the one above, which is listened to as long as it is there", () => {
    const older = new Map([["b", { ...other(), relay: { address: "192.0.2.2", port: 4789 } }]]);
    const made = started(new Map([["b", other()]]));
    expect(made.facts.formerUdpPort).toBeNull();
    follow(made, older);
    expect(made.facts.formerUdpPort).toBe(4790);
    follow(made, UNKNOWN_PEER);
    expect(made.facts.formerUdpPort).toBeNull();
    expect(started(older, { driver: "none" }).facts.formerUdpPort).toBeNull();
  });

  test("that encrypts makes the relay sealed although this one does not", () => {
    const record = other({ driver: "none", address: null });
    expect(reached(started(UNKNOWN_PEER, { encrypt: false }), record)!.isSealed).toBe(true);
  });

  test("of another address family is no peer of the driver", () => {
    started(new Map([["b", other({}, "2001:db8::2")]]));
    expect(drivers.peers).toEqual([]);
  });

  test("has secrets with this one, others when it has started again or the cluster's keys change", () => {
    const nodes = new Map([["b", other()]]);
    const made = started(nodes);
    const own = made.facts.announcement.publicKey!;
    expect(drivers.peers[0]!.secrets).toEqual(PEER_KEYS.secretsWith(own, [KEY], "prod"));
    follow(made, nodes, [OTHER_KEY, KEY]);
    expect(drivers.peers[0]!.secrets).toEqual(PEER_KEYS.secretsWith(own, [OTHER_KEY, KEY], "prod"));
    const again = new NodeKeys();
    follow(made, new Map([["b", other({ publicKey: again.publicKey })]]), [OTHER_KEY, KEY]);
    expect(drivers.peers[0]!.secrets).toEqual(again.secretsWith(own, [OTHER_KEY, KEY], "prod"));
  });

  test("with a key that everybody could make secrets with is no peer of the driver", () => {
    started(new Map([["b", other({ publicKey: "00".repeat(32) })]]));
    expect(drivers.peers).toEqual([]);
  });

  test("gets packets as large as its path carries, once that is known", () => {
    started(new Map([["b", other()]]));
    expect([...drivers.innerMtuBytes]).toEqual([]);
    drivers.setUp("b", true);
    expect([...drivers.innerMtuBytes]).toEqual([["b", 1400]]);
  });

  test("that the driver refuses is told once and tried again; the others are told nothing", () => {
    const made = started(UNKNOWN_PEER, { driver: "kernel" });
    drivers.error = new Error("no memory");
    follow(made, new Map([["b", other({ driver: "kernel" })]]));
    for (let i = 0; i < 20; i++) made.tick();
    expect(lines.slice(1)).toEqual(["refused kernel no memory"]);
    expect(troubleOf(made)).toBe("no memory");
    drivers.error = null;
    for (let i = 0; i < 10; i++) made.tick();
    expect(troubleOf(made)).toBeNull();
    expect(drivers.peers.map(({ name }) => name)).toEqual(["b"]);
  });

  test("of a driver whose device somebody has removed is reached over another one, with another key", async () => {
    const made = started(UNKNOWN_PEER);
    const { address, publicKey } = made.facts.announcement;
    const nodes = new Map([["b", other()]]);
    follow(made, nodes);
    drivers.error = GONE;
    drivers.report();
    const advanced = clock.advance(1_000);
    await waitFor(() => changes > 0, { what: "another driver" });
    drivers.error = null;
    await advanced;
    follow(made, nodes);
    expect(made.facts.announcement).toMatchObject({ driver: "userspace", address });
    expect(made.facts.announcement.publicKey).not.toBe(publicKey);
    expect([drivers.ends.length, drivers.running.length, drivers.peers.length]).toEqual([2, 1, 1]);
    expect(lines).toEqual(["userspace", "repaired 1 it was removed"]);
  });

  test("that comes and goes without a word is noticed from time to time", () => {
    const made = started(new Map([["b", other()]]));
    drivers.up.add("b");
    made.tick();
    made.tick();
    expect(changes).toBe(1);
  });

  test("that has not changed is not told to the driver again", () => {
    const made = started(new Map([["b", other()]]));
    follow(made, new Map([["b", other()]]));
    expect(drivers.applied).toBe(1);
    follow(made, new Map([["b", other({}, "192.0.2.9")]]));
    expect(drivers.peers[0]!.underlayAddress).toBe("192.0.2.9");
  });
});

describe("the status", () => {
  const peerOf = (made: Overlay) => made.status.peers[0]!;

  test("says what runs, and what auto has passed over", () => {
    drivers.refusals.kernel = "no vxlan";
    expect(started(UNKNOWN_PEER, { driver: "auto", encrypt: false }).status).toMatchObject({
      driver: "none",
      wanted: "auto",
      passedOver: [{ name: "kernel", reason: "no vxlan" }],
      device: null,
      encrypt: false,
    });
    expect(started(UNKNOWN_PEER).status).toMatchObject({
      driver: "userspace",
      device: "portmesh4789",
      peers: [],
      rejectedTotal: { "wrong-vni": 2 },
    });
  });

  test("says how a node is reached and what encrypts, with the figures of the driver and its path", () => {
    const made = started(new Map([["b", other()]]));
    const waiting = "no reply over the overlay yet";
    expect(peerOf(made)).toMatchObject({ path: "direct", encryption: "relay", problem: waiting });
    drivers.setUp("b", true);
    expect(peerOf(made)).toEqual({
      node: "b",
      driver: "userspace",
      address: "10.200.9.9",
      path: "overlay",
      encryption: "frames",
      problem: null,
      problemKind: null,
      keyAgeMs: null,
      mtuBytes: null,
      rttMs: 1,
      loss: null,
      rejectedTotal: { replay: 1 },
      notes: [],
    });
  });

  test("says what is wrong with its own end: what the driver says before what the machine shows", () => {
    const made = started(new Map([["b", other()]]));
    expect(made.status.problems).toEqual([]);
    drivers.problems = [{ message: "portmesh4789 is down", fix: "ip link set portmesh4789 up" }];
    expect(made.status.problems).toEqual(drivers.problems);
    const taken = "cannot create portmesh4789: vxlan interface other0 has VNI 4096 on UDP port 4789";
    drivers.error = new Error(`${taken}; set another overlay.vni on all nodes`);
    drivers.setUp("b", true);
    expect(made.status.problems).toEqual([{ message: taken, fix: "set another overlay.vni on all nodes" }]);
    drivers.error = null;
    drivers.problems = [];
    drivers.setUp("b", false);
    expect(made.status.problems).toEqual([]);
  });

  test("tells the log which nodes it reaches, and why one no longer", () => {
    const made = started(new Map([["b", other()]]));
    const told = () => lines.splice(0).filter((line) => line !== "userspace");
    told();
    drivers.setUp("b", true);
    expect(told()).toEqual(["b up"]);
    drivers.setUp("b", false);
    expect(told()[0]).toStartWith("b down: echoes over it are not answered");
    drivers.setUp("b", true);
    told();
    drivers.problems = [{ message: "portmesh4789 is down", fix: "ip link set portmesh4789 up" }];
    drivers.setUp("b", false);
    expect(told()).toEqual(["b down: portmesh4789 is down"]);
    drivers.setUp("b", true);
    told();
    follow(made, new Map([["b", other({ vni: 7 })]]));
    made.tick();
    expect(told()).toEqual(["b down: overlay.vni is 4096 here, 7 there"]);
    follow(made, new Map([["b", other()]]));
    made.tick();
    told();
    follow(made, UNKNOWN_PEER);
    made.tick();
    expect(told()).toEqual(["forgets b"]);
  });

  test("says why the overlay is not used", () => {
    const made = started(new Map([["b", other({ vni: 7 })]]), { encrypt: false });
    const problem = "overlay.vni is 4096 here, 7 there";
    expect(peerOf(made)).toMatchObject({ path: "direct", encryption: "relay", problem });
    follow(made, new Map([["b", nodeRecord({ relay: { address: "192.0.2.2", port: 4789 } })]]));
    expect(peerOf(made)).toMatchObject({ driver: null, path: "direct", encryption: "none", problem: null });
  });
});
