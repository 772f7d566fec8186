/**
 * `doctor` finds every closed port: which one, from where to where, and on which machine to open it. Two nodes in
 * namespaces, whose firewalls drop.
 *
 *     n1 ── bridge ── n2
 */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import type { Finding } from "../../src/cli/doctor/finding.ts";
import { MeshCluster, namespacePlaces } from "../support/cluster/mesh-cluster.ts";
import { type Firewall, openFirewall } from "../support/network/firewall.ts";
import { lacksNamespaces, Namespaces } from "../support/network/namespaces.ts";
import { doctor } from "../support/node/doctor.ts";
import { lacksTun, lacksVxlan } from "../support/overlay/overlay-devices.ts";

const TIMEOUT_MS = 120_000;

/** "7946/udp n1 to n2", of what failed. */
function closedIn(findings: readonly Finding[]): string[] {
  const closed = findings
    .filter(({ level, about }) => level === "fail" && about.startsWith("port"))
    .flatMap(({ tests = [] }) => tests);
  const texts = closed.map(({ port, protocol, from, to }) => `${port}/${protocol} ${from} to ${to}`);
  return [...new Set(texts)].sort();
}

/** Ports closed at the input of a node, for the other: "7946/udp". */
interface Row {
  readonly n1?: readonly string[];
  readonly n2?: readonly string[];
}

const DRIVERS = [
  { driver: "none", encrypt: true },
  { driver: "kernel", encrypt: true },
  { driver: "userspace", encrypt: true },
] as const;

const ROWS: readonly Row[] = [
  { n2: ["7946/tcp"] },
  { n1: ["7946/tcp"] },
  { n2: ["7946/udp"], n1: ["4789/tcp"] },
  { n1: ["7946/udp"], n2: ["4789/tcp"] },
  { n2: ["4789/udp"] },
  { n1: ["4789/udp"] },
];

describe.skipIf(lacksNamespaces() || lacksTun() || lacksVxlan())("doctor", () => {
  describe.each(DRIVERS.map((each) => [each.driver, each] as const))(
    "with driver %s",
    (_, { driver, encrypt }) => {
      let network: Namespaces;
      let cluster: MeshCluster;
      const firewalls = new Map<string, Firewall>();

      beforeAll(async () => {
        network = Namespaces.create(2);
        cluster = await MeshCluster.start({
          label: `doctor-ports/${driver}`,
          places: namespacePlaces(network),
          settings: { overlay: `driver = "${driver}"\nencrypt = ${encrypt}` },
        });
        for (const machine of network.nodes) firewalls.set(machine.name, await openFirewall(machine));
        await isWell();
      }, TIMEOUT_MS);
      afterAll(async () => {
        await cluster?.close();
        network?.close();
      }, TIMEOUT_MS);

      afterEach(() => Promise.all([...firewalls.values()].map((firewall) => firewall.accept())));

      async function isWell(): Promise<void> {
        await cluster.waitFor(
          async () => (await Promise.all(cluster.nodes.map(doctor))).every(({ exitCode }) => exitCode === 0),
          { what: "doctor to find nothing wrong on both nodes" },
        );
      }

      /** What doctor says on n1 and on n2 is closed. */
      async function bothSay(expected: readonly string[]): Promise<(readonly Finding[])[]> {
        const told = await cluster.waitFor(
          async () => {
            const both = await Promise.all(cluster.nodes.map(doctor));
            const isTold = both.every(({ findings }) => Bun.deepEquals(closedIn(findings), [...expected]));
            return isTold && both;
          },
          { what: `doctor on both nodes to find closed: ${expected.join(", ")}` },
        );
        expect(told.map(({ exitCode }) => exitCode)).toEqual([1, 1]);
        return told.map(({ findings }) => findings);
      }

      async function closed(row: Row): Promise<void> {
        const expected = [
          ...(row.n2 ?? []).map((port) => `${port} n1 to n2`),
          ...(row.n1 ?? []).map((port) => `${port} n2 to n1`),
        ].sort();
        for (const findings of await bothSay(expected))
          for (const { fix, tests } of findings.filter(isClosedPort)) {
            const { to, from } = tests![0]!;
            const where = fix!.startsWith("on this machine") ? `(${to}, ` : `${to} (`;
            expect(fix).toStartWith(
              `on ${fix!.startsWith("on this machine") ? "this machine " : ""}${where}${cluster.node(to).address}) open`,
            );
            expect(fix).toContain(cluster.node(from).address);
          }
      }

      test.each(ROWS.map((row) => [JSON.stringify(row), row] as const))(
        "names what is closed at the input: %s",
        async (_, row) => {
          const others = { n1: "n2", n2: "n1" } as const;
          for (const name of ["n1", "n2"] as const)
            await firewalls.get(name)!.dropInput(row[name] ?? [], cluster.node(others[name]).address);
          await closed(row);
        },
        TIMEOUT_MS,
      );

      test(
        "tells what its own firewall does not let out, and what the other one rejects",
        async () => {
          await firewalls.get("n1")!.load({ output: ["oifname eth0 udp dport 7946 drop"] });
          await firewalls.get("n2")!.load({ input: ["iifname eth0 tcp dport 4789 reject with tcp reset"] });
          const expected = ["4789/tcp n1 to n2", "7946/udp n1 to n2"];
          for (const findings of await bothSay(expected)) {
            const outcomes = findings.filter(isClosedPort).map(({ tests }) => tests![0]!.outcome);
            expect(outcomes.sort()).toEqual(["not-sent", "refused"]);
          }
        },
        TIMEOUT_MS,
      );

      test(
        "a port that lets in replies alone is closed",
        async () => {
          const open = [
            "tcp dport { 7946, 4789 } accept",
            "udp dport 4789 accept",
            "meta l4proto icmp accept",
          ];
          const stateful = ["iifname != eth0 accept", "ct state established,related accept", ...open, "drop"];
          await firewalls.get("n2")!.load({ input: stateful });
          for (const findings of await bothSay(["7946/udp n1 to n2"]))
            expect(findings.find(isClosedPort)!.tests).toMatchObject([{ outcome: "replies-only" }]);
        },
        TIMEOUT_MS,
      );
    },
  );
});

function isClosedPort({ about, level }: Finding): boolean {
  return level === "fail" && about.startsWith("ports ");
}
