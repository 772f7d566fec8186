/**
 * `doctor` finds every closed port: which one, from where to where, and on which machine to open it. Two nodes in
 * namespaces, whose firewalls drop.
 *
 *     n1 ── bridge ── n2
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { Finding } from "../../src/cli/doctor/finding.ts";
import { MeshCluster, namespacePlaces } from "../support/cluster/mesh-cluster.ts";
import { type Firewall, openFirewall } from "../support/network/firewall.ts";
import { lacksNamespaces, Namespaces } from "../support/network/namespaces.ts";
import { doctor } from "../support/node/doctor.ts";
import { lacksTun, lacksVxlan } from "../support/overlay/overlay-devices.ts";
import { Turns } from "../support/time/turns.ts";

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

const DRIVERS = ["none", "kernel", "userspace"] as const;
type Driver = (typeof DRIVERS)[number];

const ROWS: readonly Row[] = [
  { n2: ["7946/tcp"] },
  { n1: ["7946/tcp"] },
  { n2: ["7946/udp"], n1: ["4789/tcp"] },
  { n1: ["7946/udp"], n2: ["4789/tcp"] },
  { n2: ["4789/udp"] },
  { n1: ["4789/udp"] },
];

/** Two nodes whose firewalls are set by one test after the other. */
class Machines {
  readonly #turns = new Turns();

  private constructor(
    readonly network: Namespaces,
    readonly cluster: MeshCluster,
    readonly firewalls: ReadonlyMap<string, Firewall>,
  ) {}

  static async start(driver: Driver): Promise<Machines> {
    const network = Namespaces.create(2);
    const cluster = await MeshCluster.start({
      label: `doctor-ports/${driver}`,
      places: namespacePlaces(network),
      settings: { overlay: `driver = "${driver}"\nencrypt = true` },
    });
    const firewalls = new Map<string, Firewall>();
    for (const machine of network.nodes) firewalls.set(machine.name, await openFirewall(machine));
    const machines = new Machines(network, cluster, firewalls);
    await machines.isWell();
    return machines;
  }

  /** Runs a test when those before it are over. */
  take(test: (machines: this) => Promise<void>): Promise<void> {
    return this.#turns.take(async () => {
      try {
        await test(this);
      } finally {
        await Promise.all([...this.firewalls.values()].map((firewall) => firewall.accept()));
      }
    });
  }

  firewall(name: "n1" | "n2"): Firewall {
    return this.firewalls.get(name)!;
  }

  async isWell(): Promise<void> {
    await this.cluster.waitFor(
      async () => (await Promise.all(this.cluster.nodes.map(doctor))).every(({ exitCode }) => exitCode === 0),
      { what: "doctor to find nothing wrong on both nodes" },
    );
  }

  /** What doctor says on n1 and on n2 is closed. */
  async bothSay(expected: readonly string[]): Promise<(readonly Finding[])[]> {
    const told = await this.cluster.waitFor(
      async () => {
        const both = await Promise.all(this.cluster.nodes.map(doctor));
        const isTold = both.every(({ findings }) => Bun.deepEquals(closedIn(findings), [...expected]));
        return isTold && both;
      },
      { what: `doctor on both nodes to find closed: ${expected.join(", ")}` },
    );
    expect(told.map(({ exitCode }) => exitCode)).toEqual([1, 1]);
    return told.map(({ findings }) => findings);
  }

  async findClosed(row: Row): Promise<void> {
    const expected = [
      ...(row.n2 ?? []).map((port) => `${port} n1 to n2`),
      ...(row.n1 ?? []).map((port) => `${port} n2 to n1`),
    ].sort();
    for (const findings of await this.bothSay(expected))
      for (const { fix, tests } of findings.filter(isClosedPort)) {
        const { to, from } = tests![0]!;
        const where = fix!.startsWith("on this machine") ? `(${to}, ` : `${to} (`;
        expect(fix).toStartWith(
          `on ${fix!.startsWith("on this machine") ? "this machine " : ""}${where}${this.cluster.node(to).address}) open`,
        );
        expect(fix).toContain(this.cluster.node(from).address);
      }
  }

  async close(): Promise<void> {
    await this.cluster.close();
    this.network.close();
  }
}

describe.skipIf(lacksNamespaces() || lacksTun() || lacksVxlan())("doctor", () => {
  const machines = new Map<Driver, Machines>();

  beforeAll(async () => {
    await Promise.all(DRIVERS.map(async (driver) => machines.set(driver, await Machines.start(driver))));
  }, TIMEOUT_MS);
  afterAll(() => Promise.all([...machines.values()].map((each) => each.close())), TIMEOUT_MS);

  // one driver beside the other: a test mostly waits for what does not arrive
  const rows = ROWS.flatMap((row) => DRIVERS.map((driver) => [JSON.stringify(row), driver, row] as const));
  test.concurrent.each(rows)(
    "names what is closed at the input: %s, with driver %s",
    (_, driver, row) =>
      machines.get(driver)!.take(async (each) => {
        const { cluster } = each;
        await each.firewall("n1").dropInput(row.n1 ?? [], cluster.node("n2").address);
        await each.firewall("n2").dropInput(row.n2 ?? [], cluster.node("n1").address);
        await each.findClosed(row);
      }),
    TIMEOUT_MS,
  );

  test.concurrent.each(DRIVERS)(
    "tells what its own firewall does not let out, and what the other one rejects, with driver %s",
    (driver) =>
      machines.get(driver)!.take(async (each) => {
        await each.firewall("n1").load({ output: ["oifname eth0 udp dport 7946 drop"] });
        await each.firewall("n2").load({ input: ["iifname eth0 tcp dport 4789 reject with tcp reset"] });
        const expected = ["4789/tcp n1 to n2", "7946/udp n1 to n2"];
        for (const findings of await each.bothSay(expected)) {
          const outcomes = findings.filter(isClosedPort).map(({ tests }) => tests![0]!.outcome);
          // relays over UDP share 7946, and have a finding of their own while they are not in the overlay
          expect([...new Set(outcomes)].sort()).toEqual(["not-sent", "refused"]);
        }
      }),
    TIMEOUT_MS,
  );

  test.concurrent.each(DRIVERS)(
    "a port that lets in replies alone is closed, with driver %s",
    (driver) =>
      machines.get(driver)!.take(async (each) => {
        const open = ["tcp dport { 7946, 4789 } accept", "udp dport 4789 accept", "meta l4proto icmp accept"];
        const stateful = ["iifname != eth0 accept", "ct state established,related accept", ...open, "drop"];
        await each.firewall("n2").load({ input: stateful });
        for (const findings of await each.bothSay(["7946/udp n1 to n2"]))
          expect(findings.find(isClosedPort)!.tests).toMatchObject([{ outcome: "replies-only" }]);
      }),
    TIMEOUT_MS,
  );
});

function isClosedPort({ about, level }: Finding): boolean {
  return level === "fail" && about.startsWith("ports ");
}
