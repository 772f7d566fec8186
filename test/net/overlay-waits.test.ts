/**
 * What a driver needs and somebody else has when the node starts, or when it opens the driver again: the node serves
 * without an overlay, says why, and has one when it is free. And what a node leaves behind when it ends or is killed.
 *
 *   n1   the only node of its cluster
 */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { MeshCluster, namespacePlaces } from "../support/cluster/mesh-cluster.ts";
import type { MeshSettings } from "../support/cluster/mesh-config.ts";
import type { MeshNode } from "../support/cluster/mesh-node.ts";
import { Namespaces } from "../support/network/namespaces.ts";
import type { NetworkNode } from "../support/network/network-node.ts";
import { findProgram } from "../support/os/require-program.ts";
import { lacksTun, lacksVxlan } from "../support/overlay/overlay-devices.ts";
import { waitFor } from "../support/time/wait-for.ts";

const TIMEOUT_MS = 60_000;
const DEVICE = "portmesh4789";
const DRIVERS = ["kernel", "userspace"] as const;

describe.skipIf(lacksTun("socat") || lacksVxlan())("a driver of the overlay", () => {
  let network: Namespaces;
  let machine: NetworkNode;
  let cluster: MeshCluster;
  let node: MeshNode;

  beforeEach(() => {
    network = Namespaces.create(1);
    machine = network.nodes[0]!;
  }, TIMEOUT_MS);
  afterEach(async () => {
    await cluster.close();
    network.close();
    expect(Namespaces.leftovers()).toEqual([]);
  }, TIMEOUT_MS);

  function prepare(label: string, overlay: string, settings: Partial<MeshSettings> = {}): void {
    cluster = MeshCluster.prepare({
      label: `overlay-waits/${label}`,
      places: namespacePlaces(network),
      settings: { overlay, ...settings },
    });
    node = cluster.node("n1");
  }

  const ip = (command: string) => machine.run("ip", ...command.split(" "));
  const overlay = async () => (await node.status()).overlay!;
  const trouble = async () => (await overlay()).problems[0]?.message ?? null;
  const lines = (text: string) => node.log.split("\n").filter((line) => line.includes(text));

  /** Before the node can undo the first half of it. */
  async function unseen(script: string): Promise<void> {
    await node.pause();
    await machine.run("sh", "-c", script);
    node.resume();
  }

  async function links(): Promise<string[]> {
    return (await ip("-br link"))
      .trim()
      .split("\n")
      .map((line) => line.split(/[ @]/)[0]!);
  }

  async function runs(driver: "kernel" | "userspace"): Promise<void> {
    await waitFor(async () => (await overlay()).address !== null, { what: "the driver to run" });
    expect((await overlay()).driver).toBe(driver);
    await waitFor(async () => (await trouble()) === null, { what: "the trouble to be over" });
    expect(await links()).toContain(DEVICE);
  }

  async function waits(reason: string): Promise<void> {
    await waitFor(async () => (await trouble()) !== null, { what: "the trouble" });
    expect((await overlay()).address).toBeNull();
    expect(await trouble()).toContain(reason);
  }

  describe.each([
    ["kernel", 'driver = "kernel"', "kernel"],
    ["userspace", 'driver = "userspace"', "userspace"],
    ["auto", 'driver = "auto"\nencrypt = false', "kernel"],
  ] as const)("%s", (wanted, config, driver) => {
    test(
      "whose name is taken at the start",
      async () => {
        prepare(`name-${wanted}`, config);
        await ip(`link add ${DEVICE} type bridge`);
        await node.start();
        await waits(`interface ${DEVICE} has that name`);
        await ip(`link delete ${DEVICE}`);
        await runs(driver);
        expect(lines("; retrying")).toHaveLength(1);
        expect(lines(`overlay: driver ${driver}`)).toHaveLength(1);
      },
      TIMEOUT_MS,
    );

    test(
      "whose port is taken at the start",
      async () => {
        prepare(`port-${wanted}`, config);
        const socat = Bun.spawn([...machine.wrapper, findProgram("socat")!, "-u", "UDP-LISTEN:4789", "-"], {
          stdio: ["ignore", "ignore", "ignore"],
        });
        try {
          await waitFor(async () => (await machine.run("cat", "/proc/net/udp")).includes(":12B5 "));
          await node.start();
          await waits("(socat) uses it");
        } finally {
          socat.kill("SIGKILL");
          await socat.exited;
        }
        await runs(driver);
        expect(lines("; retrying")).toHaveLength(1);
      },
      TIMEOUT_MS,
    );
  });

  describe.each(DRIVERS)("%s", (driver) => {
    test(
      "whose name is taken when its device is deleted",
      async () => {
        prepare(`reopened-${driver}`, `driver = "${driver}"`);
        await node.start();
        await runs(driver);
        await unseen(`ip link delete ${DEVICE}; ip link add ${DEVICE} type bridge`);
        await waitFor(async () => (await trouble())?.includes("has that name"), {
          what: "the trouble",
        });
        await ip(`link delete ${DEVICE}`);
        await waitFor(async () => (await trouble()) === null, { what: "the driver to be back" });
        await runs(driver);
        const link = await ip(`-d link show ${DEVICE}`);
        expect(link).toContain(driver === "kernel" ? "vxlan id 4096" : "tun type tun");
      },
      TIMEOUT_MS,
    );

    test(
      "whose device is renamed while its name is taken: it goes at the end, the other interface stays",
      async () => {
        prepare(`renamed-${driver}`, `driver = "${driver}"`);
        await node.start();
        await runs(driver);
        await unseen(`ip link set ${DEVICE} name other0 && ip link add ${DEVICE} type bridge`);
        await waitFor(async () => (await trouble()) !== null, { what: "the trouble" });
        expect(await links()).toEqual(["lo", "eth0", "other0", DEVICE]);
        expect(await node.stop()).toBe(0);
        expect(await links()).toEqual(["lo", "eth0", DEVICE]);
      },
      TIMEOUT_MS,
    );

    test(
      "that is killed does not stand in its own way, without a default route or advertised address either",
      async () => {
        const settings = { isWildcard: true, isAdvertising: false };
        prepare(`killed-${driver}`, `driver = "${driver}"`, settings);
        await node.start();
        await runs(driver);
        await node.pause(); // or the name is given back
        await ip(`link set ${DEVICE} name other0`);
        await node.kill();
        await node.start();
        await runs(driver);
        expect(await links()).toEqual(["lo", "eth0", DEVICE]);
        await node.kill();
        await node.start();
        await runs(driver);
        expect((await node.status()).cluster.members[0]!.address).toBe(`${machine.address}:7946`);
        expect(lines("retrying")).toEqual([]);
        expect(await node.stop()).toBe(0);
        expect(await links()).toEqual(["lo", "eth0"]);
      },
      TIMEOUT_MS,
    );
  });
});
