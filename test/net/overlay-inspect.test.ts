/**
 * What is wrong with a node's end of the overlay is read from the machine: every fault by its cause, with each driver.
 * The driver is told nothing meanwhile, so it repairs nothing.
 *
 *   n1 10.99.x.1 eth0 ── bridge        device portmesh4789, 10.200.0.1/16; peers are made up
 */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import type { OverlayEnd, OverlayPeer } from "../../src/overlay/index.ts";
import { lacksNamespaces, Namespaces } from "../support/network/namespaces.ts";
import type { NetworkNode } from "../support/network/network-node.ts";
import { inspectIn } from "../support/overlay/inspect-process.ts";
import { KernelOverlayProcess } from "../support/overlay/kernel-overlay-process.ts";
import { lacksTun, lacksVxlan } from "../support/overlay/overlay-devices.ts";
import { UserspaceOverlayProcess } from "../support/overlay/userspace-overlay-process.ts";

const OWNER = "test/n1";
const DEVICE = "portmesh4789";
const ADDRESS = "10.200.0.1";

function peer(name: string, host: number): OverlayPeer {
  return {
    name,
    overlayAddress: `10.200.0.${host}`,
    underlayAddress: `10.99.255.${host}`,
    port: 4789,
    secrets: null,
    relayPorts: { tcp: 4789, udp: [4790] },
  };
}

const PEERS = [peer("n2", 2), peer("n3", 3), peer("n4", 4), peer("n5", 5), peer("n6", 6)];

describe.skipIf(lacksNamespaces() || lacksTun() || lacksVxlan())("a broken end of the overlay", () => {
  describe.each(["kernel", "userspace"] as const)("of driver %s", (driver) => {
    let network: Namespaces;
    let machine: NetworkNode;
    let process: KernelOverlayProcess | UserspaceOverlayProcess;
    let end: OverlayEnd;

    beforeAll(() => {
      network = Namespaces.create(1);
      machine = network.nodes[0]!;
      end = {
        address: ADDRESS,
        prefixLength: 16,
        vni: 4096,
        port: 4789,
        underlayAddress: machine.address,
        device: DEVICE,
      };
    });
    afterAll(() => network.close());

    async function start(): Promise<void> {
      if (driver === "kernel") {
        const kernel = (process = new KernelOverlayProcess(machine.wrapper));
        expect(await kernel.open(end, OWNER)).toMatchObject({ error: null });
      } else {
        const userspace = (process = new UserspaceOverlayProcess(machine.wrapper));
        expect(await userspace.open(end, { owner: OWNER })).toMatchObject({ error: null });
      }
      expect(await process.apply(PEERS)).toMatchObject({ error: null });
    }

    afterEach(async () => {
      await process.kill();
      await ip(`link delete ${DEVICE}`).catch(() => "");
    });

    function ip(command: string): Promise<string> {
      return machine.run("ip", ...command.split(" "));
    }

    async function found(): Promise<string[]> {
      return (await inspectIn(machine, end, OWNER, PEERS)).map(({ message, fix }) => `${message} | ${fix}`);
    }

    test("a whole one has no problem", async () => {
      await start();
      expect(await found()).toEqual([]);
    });

    test("down", async () => {
      await start();
      await ip(`link set ${DEVICE} down`);
      const [line] = await found();
      expect(line).toStartWith(`${DEVICE} is down | ip link set ${DEVICE} up; `);
    });

    test("its address flushed", async () => {
      await start();
      await ip(`address flush dev ${DEVICE}`);
      const [line] = await found();
      expect(line).toStartWith(
        `${DEVICE} has lost its address ${ADDRESS}/16 | ip address add ${ADDRESS}/16 dev `,
      );
    });

    test("its routes flushed", async () => {
      await start();
      await ip(`route flush dev ${DEVICE}`);
      const [line, ...rest] = await found();
      expect(rest).toEqual([]);
      expect(line).toStartWith(
        `packets to n2, n3, n4 and 2 more (10.200.0.2) have no route, not over ${DEVICE}: its routes are gone | `,
      );
    });

    test("removed", async () => {
      await start();
      await ip(`link delete ${DEVICE}`);
      expect((await found())[0]).toStartWith(`device ${DEVICE} was removed | `);
    });

    test("renamed, and another one under its name", async () => {
      await start();
      await ip(`link set ${DEVICE} down`);
      await ip(`link set ${DEVICE} name stolen0`);
      expect(await found()).toEqual([
        `device ${DEVICE} was renamed to stolen0 | ip link set stolen0 down; ` +
          `ip link set stolen0 name ${DEVICE}; ip link set ${DEVICE} up`,
      ]);
      await ip(`link add ${DEVICE} type bridge`);
      expect((await found())[0]).toContain("and another bridge interface has its name");
      await ip("link delete stolen0");
      expect((await found())[0]).toStartWith(
        `${DEVICE} is not this node's: another bridge interface has that name | `,
      );
    });

    test.each([
      ["another interface", "10.200.0.0/16 dev eth0", "to 10.200.0.0/16", "go over eth0"],
      ["nowhere", "unreachable default", "from all", "have no route"],
    ])("a policy routing rule before main that leads to %s", async (_, route, rule, said) => {
      await start();
      await ip(`route add ${route} table 77`);
      await ip("rule add priority 50 to 10.44.0.0/16 lookup 9"); // of no concern
      await ip(`rule add priority 100 ${rule} lookup 77`);
      try {
        const [line, ...rest] = await found();
        expect(rest).toEqual([]);
        expect(line).toStartWith(
          `packets to n2, n3, n4 and 2 more (10.200.0.2) ${said}, not over ${DEVICE}: `,
        );
        expect(line).toContain("the policy routing rule with priority 100 looks up table 77 before main");
        expect(line).toContain("| ip rule add priority 99 to 10.200.0.0/16 lookup main; ");
        await ip("rule add priority 99 to 10.200.0.0/16 lookup main"); // what it says to do
        expect(await found()).toEqual([]);
        await ip("rule delete priority 99");
      } finally {
        await ip("rule delete priority 100");
        await ip("rule delete priority 50");
        await ip("route flush table 77");
      }
    });

    if (driver === "kernel") {
      test("its forwarding entries flushed", async () => {
        await start();
        await machine.run("bridge", "fdb", "del", "02:42:0a:c8:00:03", "dev", DEVICE);
        expect((await found())[0]).toStartWith(`${DEVICE} has lost the forwarding entries of n3 | `);
      });
    }
  });
});
