/**
 * What networkd, an operator or a routing daemon does to the overlay's device of n2, and what n2 makes of it: the device
 * is as it was, traffic passes, one line tells it. See overlay-mesh.ts for the picture.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { OverlayMesh, PORTS } from "../support/cluster/overlay-mesh.ts";
import { request } from "../support/load/http-load.ts";
import { UdpPeer } from "../support/load/udp-peer.ts";
import { lacksTun, lacksVxlan } from "../support/overlay/overlay-devices.ts";
import { waitFor } from "../support/time/wait-for.ts";

const TIMEOUT_MS = 120_000;
const DEVICE = "portmesh4789";
/** Far more than a repair takes, and a wait before it. */
const REPAIRED_MS = 30_000;
const STORM_ROUTES = 10_000;

interface Deed {
  readonly what: string;
  /** For sh; $DEVICE, $PEER is the overlay address of n1. */
  readonly script: string;
  /** What the line says. */
  readonly says: string;
  /** Only of this driver. */
  readonly driver?: "kernel" | "userspace";
}

const DEEDS: readonly Deed[] = [
  { what: "the device is put down", script: "ip link set $DEVICE down", says: "it was down" },
  {
    what: "its address is flushed",
    script: "ip address flush dev $DEVICE",
    says: "its address 10.200.",
  },
  {
    what: "its routes are flushed",
    script: "ip route flush dev $DEVICE",
    says: "its routes were changed",
  },
  {
    what: "a route to a node is deleted",
    script: "ip route delete $PEER dev $DEVICE",
    says: "its routes were changed",
  },
  {
    what: "a route over the device is replaced",
    script: "ip route replace $PEER dev $DEVICE mtu 600",
    says: "its routes were changed",
  },
  { what: "its MTU is set", script: "ip link set $DEVICE mtu 1000", says: "its MTU was 1000" },
  { what: "it is renamed", script: "ip link set $DEVICE name other0", says: "its name was other0" },
  { what: "its alias is set", script: "ip link set $DEVICE alias mine", says: 'its alias was \\"mine\\"' },
  {
    what: "it is put down, renamed, and its address taken",
    script: "ip link set $DEVICE down name other0; ip address flush dev other0",
    says: "its name was other0",
  },
  {
    what: "its address is replaced",
    script:
      'ip -batch - <<< "address flush dev $DEVICE\naddress add 10.77.0.1/24 dev $DEVICE"; ip address delete 10.77.0.1/24 dev $DEVICE',
    says: "its address 10.200.",
  },
  { what: "it is deleted", script: "ip link delete $DEVICE", says: "it was removed" },
  {
    what: "its neighbours are flushed",
    script: "ip neighbour flush dev $DEVICE nud permanent",
    says: "its neighbour entries were changed",
    driver: "kernel",
  },
  {
    what: "its forwarding entries are deleted",
    script: "bridge fdb show dev $DEVICE | cut -d' ' -f1 | xargs -I{} bridge fdb del {} dev $DEVICE self",
    says: "its forwarding entries were changed",
    driver: "kernel",
  },
  {
    what: "it is made a port of a bridge",
    script: "ip link set $DEVICE master br0",
    says: "it was attached to a bridge or VRF",
    driver: "kernel",
  },
  {
    what: "its MAC address is set",
    script: "ip link set $DEVICE address 02:00:00:00:00:01",
    says: "its MAC address was 02:00:00:00:00:01",
    driver: "kernel",
  },
  {
    what: "its filter is taken away",
    script: "tc qdisc delete dev $DEVICE ingress",
    says: "its filter was changed",
    driver: "kernel",
  },
  {
    what: "forwarding is turned on, as container engines do",
    script: "sysctl -qw net.ipv4.conf.all.forwarding=1",
    says: "its IPv4 settings, such as forwarding, were changed",
  },
  {
    what: "its super-packets are made larger",
    script: "ip link set $DEVICE gso_max_size 65000",
    says: "its gso_max_size was 65000",
    driver: "userspace",
  },
];

describe.skipIf(lacksTun() || lacksVxlan())("the overlay's device", () => {
  describe.each([
    ["kernel", false],
    ["userspace", true],
  ] as const)("of the %s driver", (driver, encrypt) => {
    let mesh: OverlayMesh;
    let peer: string;

    beforeAll(async () => {
      const end = `driver = "${driver}"\nencrypt = ${encrypt}`;
      mesh = await OverlayMesh.start({ label: `repairs-${driver}`, ends: [end, end] }, "overlay");
      peer = (await mesh.n1.status()).overlay!.address!;
      await waitFor(() => lines("n1 is reached over the overlay").length > 0, {
        what: "the line that it is up",
      });
      await shell("ip link add br0 type bridge");
    }, TIMEOUT_MS);
    afterAll(() => mesh?.close(), TIMEOUT_MS);

    const machine = () => mesh.network.nodes[1]!;
    const shell = (script: string) =>
      machine().run("bash", "-c", `DEVICE=${DEVICE}; PEER=${peer}; ${script}`);
    /** Of several steps, the node may not repair the first before the last is done. */
    async function does(script: string): Promise<void> {
      const hasSteps = script.includes("; ");
      if (hasSteps) await mesh.n2.pause();
      try {
        await shell(script);
      } finally {
        if (hasSteps) mesh.n2.resume();
      }
    }
    const lines = (text: string) => mesh.n2.log.split("\n").filter((line) => line.includes(text));
    const trouble = async () => (await mesh.n2.status()).overlay!.problems[0]?.message ?? null;

    /** All that a deed may change, without indexes and times. */
    async function state(): Promise<string> {
      const shown = await shell(
        "ip -d -o link show $DEVICE; ip -o -4 address show dev $DEVICE; ip route show dev $DEVICE; " +
          "ip -4 neighbour show dev $DEVICE nud permanent; bridge fdb show dev $DEVICE 2>/dev/null; " +
          "tc filter show dev $DEVICE ingress; sysctl net.ipv4.conf.$DEVICE.forwarding",
      ).catch((error) => String(error));
      return shown
        .replaceAll(/^\d+: /gm, "")
        .replaceAll(/(?<=proto 112 .*) mtu \d+/g, "") // follows the path
        .replaceAll(/ qdisc \S+| qlen \d+| link-netnsid \d+/g, "")
        .split("\n")
        .sort()
        .join("\n");
    }

    async function isAgain(before: string): Promise<void> {
      let now = "";
      await waitFor(
        async () => {
          now = await state();
          return now === before;
        },
        { what: "the device to be what it was", deadlineMs: REPAIRED_MS },
      ).catch((error: Error) => {
        throw new Error(`${error.message}:\n${before}\nis now\n${now}\n${mesh.n2.log.slice(-2000)}`);
      });
    }

    async function serves(): Promise<void> {
      await mesh.reaches("overlay");
      await mesh.isServed();
      const { client, task } = await mesh.open();
      await client.send("served");
      expect(await task.receiveText(6)).toBe("served");
      client.close();
      task.close();
      await answers();
    }

    /** n1 may close its ports for a moment while the path of the relays changes, and ask on both paths. */
    async function answersRequests(): Promise<void> {
      const isAnswered = async () => (await request(mesh.n1.address, PORTS.web)).error === null;
      await waitFor(isAnswered, { what: "an answer to a request" });
    }

    /** A datagram may be lost while the way of the relays changes. */
    async function answers(): Promise<void> {
      const client = await UdpPeer.open(mesh.network.outside);
      let askedMs = Number.NEGATIVE_INFINITY;
      const isAnswered = () => {
        if (performance.now() - askedMs > 500) {
          client.send("x", PORTS.echo, mesh.n1.address);
          askedMs = performance.now();
        }
        return client.received.length > 0;
      };
      try {
        await waitFor(isAnswered, { what: "an answer to a datagram" });
      } finally {
        client.close();
      }
    }

    test.each(DEEDS.filter((deed) => (deed.driver ?? driver) === driver))(
      "$what: it is repaired, and one line says so",
      async ({ script, says }) => {
        const before = await state();
        const repairs = lines("repaired:").length;
        await does(script);
        const isTold = () => lines("repaired:").length > repairs;
        await waitFor(isTold, { what: "the line", deadlineMs: REPAIRED_MS });
        await isAgain(before);
        await serves();
        expect(lines("repaired:").slice(repairs)).toHaveLength(1);
        expect(lines("repaired:").at(-1)).toContain(says);
        await waitFor(async () => (await trouble()) === null, {
          what: "no problem",
          deadlineMs: REPAIRED_MS,
        });
      },
      TIMEOUT_MS,
    );

    const others: readonly {
      readonly what: string;
      readonly does: string;
      readonly undoes: string;
      readonly says: string;
      /** They have it in common: one of them is enough. */
      readonly driver: "kernel" | "userspace";
    }[] = [
      {
        what: "a route in the place of its own",
        does: "ip route replace $PEER dev eth0",
        undoes: "ip route delete $PEER dev eth0",
        says: "over eth0 (boot)",
        driver: "userspace",
      },
      {
        what: "a routing rule before its routes",
        does: "ip route add 10.200.0.0/16 dev eth0 table 100; ip rule add priority 100 lookup 100",
        undoes: "ip rule delete priority 100; ip route flush table 100",
        says: "a routing rule (ip rule) sends it over eth0, table 100",
        driver: "kernel",
      },
    ];

    test.each(others.filter((each) => each.driver === driver))(
      "$what is named, not fought: relays go over the nodes' own addresses until it is gone",
      async ({ does, undoes, says }) => {
        const before = await state();
        const told = lines("n1 is no longer reached").length;
        const back = lines("n1 is reached over the overlay").length;
        const repairs = lines("repaired:").length;
        await shell(does);
        await mesh.reaches("direct", [mesh.n2]);
        expect((await mesh.peerOf(mesh.n2)).notes.join()).toContain(says);
        await mesh.reaches("direct"); // n1 has to miss the echoes of n2
        await answersRequests();
        const isGone = () => lines("n1 is no longer reached").length > told;
        await waitFor(isGone, { what: "the line that it is gone" });
        const left = lines("n1 is no longer reached").slice(told);
        expect(left).toHaveLength(1);
        expect(left[0]).toContain(says);
        expect(lines("cannot reach node n1")).toEqual([]);
        await shell(undoes);
        await serves();
        await isAgain(before);
        const isTold = () => lines("n1 is reached over the overlay").length > back;
        await waitFor(isTold, { what: "the line that it is back" });
        expect(lines("repaired:")).toHaveLength(repairs);
      },
      TIMEOUT_MS,
    );

    test(
      "thousands of routes of others wake nobody",
      async () => {
        const before = cpuTicks(mesh.n2.pid);
        await shell(
          `for i in $(seq ${STORM_ROUTES}); do echo route add 10.$((i >> 8)).$((i & 255)).0/24 dev eth0; done | ip -batch -`,
        );
        // reading that many notifications takes the processor more than a second
        expect(cpuTicks(mesh.n2.pid) - before).toBeLessThan(60);
        await shell("ip link set $DEVICE down");
        await serves();
      },
      TIMEOUT_MS,
    );
  });
});

/** Processor time of a process so far, in 1/100 s. */
function cpuTicks(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return Number(fields[11]) + Number(fields[12]);
}
