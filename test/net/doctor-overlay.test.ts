/**
 * `doctor` and `status` name what is wrong with an end of the overlay, on the node that has it and on the other one, and
 * send nobody to a firewall for it.
 *
 *     n1 ── bridge ── n2      what is wrong is wrong on n1
 */
import { describe, expect, test } from "bun:test";
import type { Finding } from "../../src/cli/doctor/finding.ts";
import { MeshCluster, namespacePlaces, newKey } from "../support/cluster/mesh-cluster.ts";
import type { MeshNode } from "../support/cluster/mesh-node.ts";
import { lacksNamespaces, Namespaces } from "../support/network/namespaces.ts";
import type { NetworkNode } from "../support/network/network-node.ts";
import { type Doctor, doctor } from "../support/node/doctor.ts";
import { lacksTun, lacksVxlan } from "../support/overlay/overlay-devices.ts";

const TIMEOUT_MS = 120_000;
const DEVICE = "portmesh4789";

function failures(findings: readonly Finding[]): Finding[] {
  return findings.filter(({ level }) => level === "fail");
}

class Pair {
  readonly machine: NetworkNode;
  readonly n1: MeshNode;
  readonly n2: MeshNode;

  constructor(
    readonly network: Namespaces,
    readonly cluster: MeshCluster,
  ) {
    [this.n1, this.n2] = cluster.nodes as [MeshNode, MeshNode];
    this.machine = network.nodes[0]!;
  }

  async isWell(): Promise<void> {
    await this.cluster.waitFor(
      async () => (await Promise.all(this.cluster.nodes.map(doctor))).every(({ exitCode }) => exitCode === 0),
      { what: "doctor to find nothing wrong on both nodes" },
    );
  }

  /** Waits until both nodes' doctors and n1's status say so, and nothing of port 4789/udp. */
  async isTold(cause: string): Promise<void> {
    await this.cluster.waitFor(
      async () => {
        const [own, other] = await Promise.all([doctor(this.n1), doctor(this.n2)]);
        const isOwn = failures(own.findings).some(
          ({ about, message }) => about === "overlay" && message.includes(cause),
        );
        const isOther = failures(other.findings).some(
          ({ about, message }) =>
            about === "overlay n1" && message.includes(`on n1: `) && message.includes(cause),
        );
        return own.exitCode === 1 && other.exitCode === 1 && isOwn && isOther;
      },
      { what: `doctor on both nodes to tell "${cause}"` },
    );
    const { findings } = await doctor(this.n1);
    expect(JSON.stringify(findings)).not.toContain("4789/udp in the input rules");
    const status = await this.n1.command("status");
    expect(status.stdout.replaceAll(/\s+/g, " ")).toContain(`PROBLEM: ${cause}`);
  }
}

describe.skipIf(lacksNamespaces() || lacksTun() || lacksVxlan())("doctor on the overlay", () => {
  const DRIVERS = ["kernel", "userspace"];

  async function start(opened: AsyncDisposableStack, driver: string): Promise<Pair> {
    const network = opened.adopt(Namespaces.create(2), (created) => created.close());
    const cluster = await MeshCluster.start({
      label: `doctor-overlay/${driver}`,
      places: namespacePlaces(network),
      settings: { overlay: `driver = "${driver}"` },
    });
    opened.defer(() => cluster.close());
    const pair = new Pair(network, cluster);
    await pair.isWell();
    return pair;
  }

  test.concurrent.each(DRIVERS)(
    "a policy routing rule before main, with driver %s",
    async (driver) => {
      await using opened = new AsyncDisposableStack();
      const pair = await start(opened, driver);
      const { machine, n1 } = pair;
      await machine.run("ip", "route", "add", "unreachable", "default", "table", "77");
      await machine.run("ip", "rule", "add", "priority", "100", "lookup", "77", "to", "10.200.0.0/16");
      const said = `have no route, not over ${DEVICE}: the policy routing rule with priority 100 looks up table 77`;
      const [peer] = (await n1.status()).overlay!.peers;
      await pair.isTold(`packets to n2 (${peer!.address}) ${said}`);
      await machine.run("ip", "rule", "delete", "priority", "100");
      await pair.isWell();
    },
    TIMEOUT_MS,
  );

  test.concurrent.each(DRIVERS)(
    "packets that leave from another address, with driver %s",
    async (driver) => {
      await using opened = new AsyncDisposableStack();
      const pair = await start(opened, driver);
      const { machine, n1 } = pair;
      const other = `${pair.network.subnet}.77`;
      await machine.run("ip", "address", "add", `${other}/24`, "dev", "eth0");
      // not NAT: a flow that is tracked before the rule is there would never be translated
      const chain = "chain out { type filter hook postrouting priority 0; oifname eth0 udp dport 7946";
      await machine.run("nft", `table ip moved { ${chain} ip saddr set ${other}; }; }`);
      await pair.cluster.waitFor(
        async () => {
          const { findings } = await doctor(n1);
          return findings.some(
            ({ about, level, message }) =>
              about === "ports n2" && level === "warn" && message.includes(`packets from ${other}`),
          );
        },
        { what: "doctor to tell where n1's packets come from" },
      );
      await machine.run("nft", "delete table ip moved");
      await machine.run("ip", "address", "delete", `${other}/24`, "dev", "eth0");
      await pair.isWell();
    },
    TIMEOUT_MS,
  );

  const OTHER_VXLAN = "link add other0 up type vxlan dev eth0 dstport 4789 id";
  test.concurrent.each([
    ["kernel", "name", `link add ${DEVICE} type bridge`, `bridge interface ${DEVICE} has that name`],
    ["userspace", "name", `link add ${DEVICE} type bridge`, `bridge interface ${DEVICE} has that name`],
    ["kernel", "VNI", `${OTHER_VXLAN} 4096`, "vxlan interface other0 has VNI 4096 on UDP port 4789"],
    ["userspace", "port", `${OTHER_VXLAN} 77`, "cannot use UDP port 4789"],
  ] as const)(
    "driver %s whose %s is taken",
    async (driver, _, taken, cause) => {
      const network = Namespaces.create(2);
      await network.nodes[0]!.run("ip", ...taken.split(" "));
      const cluster = MeshCluster.prepare({
        label: `doctor-overlay/taken-${driver}`,
        places: namespacePlaces(network),
        settings: { overlay: `driver = "${driver}"` },
      });
      try {
        await Promise.all(cluster.nodes.map((node) => node.start()));
        await cluster.allAlive();
        const [n1, n2] = cluster.nodes as [MeshNode, MeshNode];
        const isTold = ({ exitCode, findings }: Doctor, about: string, said: string) =>
          exitCode === 1 &&
          failures(findings).some((finding) => finding.about === about && finding.message.includes(said));
        await cluster.waitFor(
          async () =>
            isTold(await doctor(n1), "overlay", cause) &&
            isTold(await doctor(n2), "overlay n1", "on n1: cannot"),
          { what: `doctor on both nodes to tell "${cause}"` },
        );
        expect(JSON.stringify((await doctor(n1)).findings)).not.toContain("input rules");
        const { stdout } = await n1.command("status");
        expect(stdout.replaceAll(/\s+/g, " ")).toContain(cause);
      } finally {
        await cluster.close();
        network.close();
      }
    },
    TIMEOUT_MS,
  );

  test.concurrent(
    "nodes of two address families",
    async () => {
      const network = Namespaces.create(2);
      const places = namespacePlaces(network);
      for (const [index, machine] of network.nodes.entries())
        await machine.run("ip", "address", "add", `fd99::${index + 1}/64`, "dev", "eth0", "nodad");
      const cluster = await MeshCluster.start({
        label: "doctor-overlay/families",
        places: [places[0]!, { ...places[1]!, address: "fd99::2" }],
        settings: { keys: [newKey()], isWildcard: true, overlay: 'driver = "userspace"' },
        join: [places[0]!.address],
      });
      try {
        const [n1] = cluster.nodes as [MeshNode, MeshNode];
        await cluster.waitFor(
          async () => {
            const { findings } = await doctor(n1);
            const about = (name: string) => findings.find((finding) => finding.about === name);
            return (
              about("overlay n2")?.fix?.includes("same family") === true &&
              about("ports n2")?.message.includes("one node has an IPv4 address") === true
            );
          },
          { what: "doctor to tell that the families differ" },
        );
      } finally {
        await cluster.close();
        network.close();
      }
    },
    TIMEOUT_MS,
  );
});
