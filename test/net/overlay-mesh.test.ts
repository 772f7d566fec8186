/**
 * Published ports between two nodes over every pair of drivers: bytes arrive exactly, faults pass, keys change, files
 * are loaded, nothing is left behind. See overlay-mesh.ts for the picture.
 */
import { afterAll, describe, expect, test } from "bun:test";
import { chooseAddress } from "../../src/overlay/index.ts";
import { newKey } from "../support/cluster/mesh-cluster.ts";
import { OverlayMesh, PORTS } from "../support/cluster/overlay-mesh.ts";
import { HttpLoad } from "../support/load/http-load.ts";
import { Pattern } from "../support/load/pattern.ts";
import { UdpPeer } from "../support/load/udp-peer.ts";
import { PacketCapture } from "../support/network/packet-capture.ts";
import { lacksTun, lacksVxlan } from "../support/overlay/overlay-devices.ts";
import { Turns } from "../support/time/turns.ts";
import { waitFor } from "../support/time/wait-for.ts";

const MEBIBYTE = 1024 * 1024;
const TIMEOUT_MS = 120_000;
/** Never seen on the way when it is encrypted. */
const MARKER = "portmesh-says-this-in-clear";

interface Pair {
  readonly drivers: readonly [string, string];
  readonly encrypt: boolean;
  readonly path: "overlay" | "direct";
  readonly encryption: "frames" | "relay" | "none";
}

const PAIRS: readonly Pair[] = [
  { drivers: ["kernel", "kernel"], encrypt: false, path: "overlay", encryption: "none" },
  { drivers: ["kernel", "kernel"], encrypt: true, path: "overlay", encryption: "relay" },
  { drivers: ["none", "none"], encrypt: false, path: "direct", encryption: "none" },
  { drivers: ["none", "none"], encrypt: true, path: "direct", encryption: "relay" },
  { drivers: ["userspace", "userspace"], encrypt: false, path: "overlay", encryption: "none" },
  { drivers: ["userspace", "userspace"], encrypt: true, path: "overlay", encryption: "frames" },
  { drivers: ["kernel", "userspace"], encrypt: false, path: "overlay", encryption: "none" },
  { drivers: ["kernel", "userspace"], encrypt: true, path: "direct", encryption: "relay" },
  { drivers: ["kernel", "none"], encrypt: true, path: "direct", encryption: "relay" },
];

function titleOf({ drivers, encrypt }: Pair): string {
  return `${drivers.join(" and ")}, ${encrypt ? "encrypted" : "plain"}`;
}

function endOf(driver: string, encrypt: boolean): string {
  return `driver = "${driver}"\nencrypt = ${encrypt}`;
}

type Step = readonly [title: string, run: (mesh: OverlayMesh, pair: Pair) => Promise<void>];

/** In this order, with one mesh. */
const STEPS: readonly Step[] = [
  [
    "both nodes say how they reach each other",
    async (mesh, { path, encryption }) => {
      for (const node of [mesh.n1, mesh.n2])
        expect(await mesh.peerOf(node)).toMatchObject({ path, encryption });
    },
  ],
  [
    "32 MiB in both directions at once arrive as they were sent",
    async (mesh) => {
      const { client, task } = await mesh.open();
      const [there, back] = [new Pattern(1), new Pattern(2)];
      await Promise.all([
        there.send(client, 32 * MEBIBYTE),
        there.receive(task, 32 * MEBIBYTE),
        back.send(task, 32 * MEBIBYTE),
        back.receive(client, 32 * MEBIBYTE),
      ]);
      client.finish();
      expect(await task.receiveRest()).toBe("");
      await task.send("last");
      task.close();
      expect(await client.receiveRest()).toBe("last");
      client.close();
    },
  ],
  [
    "datagrams of every kind of length arrive, and their answers",
    async (mesh) => {
      const client = await UdpPeer.open(mesh.network.outside);
      try {
        for (const length of [
          0, 1, 512, 1200, 1350, 1372, 1400, 1450, 1472, 1473, 4000, 9000, 30_000, 60_000,
        ]) {
          const bytes = Buffer.alloc(length, length % 251);
          const answer = await client.ask(bytes, PORTS.echo, mesh.n1.address);
          expect(Buffer.compare(answer.data, bytes), `${length} bytes`).toBe(0);
        }
      } finally {
        client.close();
      }
    },
  ],
  [
    "what is encrypted is not readable on the way between the nodes, all else is",
    async (mesh, { encrypt }) => {
      const capture = await PacketCapture.start(mesh.network.nodes[1]!);
      const client = await UdpPeer.open(mesh.network.outside);
      try {
        const { client: stream, task } = await mesh.open();
        for (let i = 0; i < 20; i++) {
          await stream.send(MARKER.repeat(20));
          expect(await task.receiveText(MARKER.length * 20)).toBe(MARKER.repeat(20));
          await client.ask(MARKER, PORTS.echo, mesh.n1.address);
        }
        stream.close();
        task.close();
      } finally {
        client.close();
      }
      const packets = await capture.packetsBetween(mesh.n1.address, mesh.n2.address);
      expect(packets.length).toBeGreaterThan(40);
      const readable = [MARKER, "stream", mesh.network.outside].filter((text) =>
        packets.some((packet) => packet.includes(text)),
      );
      expect(readable.includes(MARKER)).toBe(!encrypt);
      if (encrypt) expect(readable).toEqual([]);
    },
  ],
  [
    "a reset passes through, in both directions",
    async (mesh) => {
      const one = await mesh.open();
      await one.client.send("x");
      await one.task.receiveText(1);
      one.client.reset();
      expect(await one.task.failure()).toBe("ECONNRESET");
      const other = await mesh.open();
      await other.client.send("x");
      await other.task.receiveText(1);
      other.task.reset();
      expect(await other.client.failure()).toBe("ECONNRESET");
    },
  ],
  [
    "keys change under load, one file after the other, without a failed request",
    async (mesh, { path }) => {
      const [first, second] = [mesh.cluster.settings.keys[0]!, newKey()];
      const load = new HttpLoad(mesh.n1.address, PORTS.web, 4, { pauseMs: 2 });
      const { client, task } = await mesh.open();
      for (const keys of [[first, second], [second, first], [second]]) {
        for (const node of [mesh.n1, mesh.n2]) {
          const { outcome } = await node.reload(mesh.cluster.fileOf(node, { keys }));
          expect(outcome).not.toBe("refused");
          await client.send("ping");
          expect(await task.receiveText(4)).toBe("ping");
        }
        const before = load.records.length;
        await waitFor(() => load.records.length > before + 50, { what: "requests" });
      }
      await load.stop();
      expect(load.failures).toEqual([]);
      client.close();
      task.close();
      await mesh.reaches(path);
    },
  ],
  [
    "a cut heals: what is open goes on, new clients are served",
    async (mesh) => {
      const { client, task } = await mesh.open();
      await client.send("before");
      expect(await task.receiveText(6)).toBe("before");
      const machine = mesh.network.nodes[1]!;
      await machine.cut("both", [mesh.n1.address]);
      await client.send("during");
      const silent = async () => (await mesh.n1.status()).proxy.peers[0]?.isReachable === false;
      await waitFor(silent, { what: "n1 to notice" });
      await machine.heal();
      expect(await task.receiveText(6)).toBe("during");
      const { client: later, task: served } = await mesh.openAgain();
      await later.send("after");
      expect(await served.receiveText(5)).toBe("after");
      for (const end of [client, task, later, served]) end.close();
    },
  ],
  [
    "after kill -9 and a new start it is as before, and at the end nothing is left",
    async (mesh, { path }) => {
      await mesh.n2.kill();
      await mesh.n2.start();
      await mesh.cluster.allAlive();
      await mesh.reaches(path);
      await mesh.isServed();
      const { client, task } = await mesh.openAgain();
      await client.send("again");
      expect(await task.receiveText(5)).toBe("again");
      client.close();
      task.close();
      for (const node of [mesh.n1, mesh.n2]) expect(await node.stop()).toBe(0);
      for (const machine of mesh.network.nodes) {
        const devices = (await machine.run("ip", "-br", "link")).trim().split("\n");
        expect(devices.map((line) => line.split(/[ @]/)[0]!)).toEqual(["lo", "eth0"]);
      }
    },
  ],
];

/** Each pair's mesh is started by its first step. */
class PairMesh {
  readonly #turns = new Turns();
  #mesh: Promise<OverlayMesh> | null = null;

  constructor(readonly pair: Pair) {}

  take(step: Step[1]): Promise<void> {
    return this.#turns.take(async () => step(await (this.#mesh ??= this.#start()), this.pair));
  }

  async close(): Promise<void> {
    await (await this.#mesh)?.close();
  }

  #start(): Promise<OverlayMesh> {
    const { drivers, encrypt, path } = this.pair;
    const ends = [endOf(drivers[0], encrypt), endOf(drivers[1], encrypt)] as const;
    return OverlayMesh.start({ label: titleOf(this.pair).replaceAll(/[^a-z]+/g, "-"), ends }, path);
  }
}

describe.skipIf(lacksTun() || lacksVxlan())("published ports between two nodes", () => {
  const meshes = PAIRS.map((pair) => new PairMesh(pair));
  afterAll(() => Promise.all(meshes.map((mesh) => mesh.close())), TIMEOUT_MS);

  // pairs run beside each other
  const rows = STEPS.flatMap(([step, run]) =>
    meshes.map((mesh) => [titleOf(mesh.pair), step, mesh, run] as const),
  );
  test.concurrent.each(rows)("%s: %s", (_pair, _step, mesh, run) => mesh.take(run), TIMEOUT_MS);

  test.concurrent(
    "where no UDP passes relays go from node address to node address, and back when it does",
    async () => {
      const end = endOf("userspace", true);
      const mesh = await OverlayMesh.start({ label: "no-udp", ends: [end, end] }, "overlay");
      try {
        // a node looks often at the way to those that have tasks: n2 does so too, then
        const here = ["--name", "here", "--publish", "8099:80", "--task", "127.0.0.1"];
        expect(await mesh.n1.command("service", "create", ...here)).toMatchObject({ exitCode: 0 });
        await mesh.cluster.agree((services) => services.some(({ name }) => name === "here"));
        const { client, task } = await mesh.open();
        await mesh.allSent();
        const machine = mesh.network.nodes[1]!;
        await machine.cut("both", [mesh.n1.address], { protocol: "udp" });
        await mesh.reaches("direct");
        expect(await mesh.peerOf(mesh.n1)).toMatchObject({ encryption: "relay", driver: "userspace" });
        const doctor = await mesh.n1.command("doctor");
        expect(doctor.exitCode).toBe(1);
        expect(doctor.stdout).toContain("FAIL  overlay n2");
        const said = doctor.stdout.replaceAll(/\s+/g, " ");
        for (const way of ["from n1 to n2", "from n2 to n1"]) expect(said).toContain(`4789/udp ${way}`);
        await mesh.isServed(); // the ports were closed until there was a way again
        const direct = await mesh.open();
        await direct.client.send("direct");
        expect(await direct.task.receiveText(6)).toBe("direct");
        await machine.heal();
        await mesh.reaches("overlay");
        await waitFor(() => mesh.n1.log.split("node n2 is reached over the overlay").length === 3, {
          what: "n1 to log that the overlay reaches n2, twice",
        });
        const left =
          "overlay: node n2 is no longer reached over the overlay: echoes over it are not answered " +
          "(run `portmesh doctor`); relays use node addresses";
        expect(mesh.n1.log.split(left)).toHaveLength(2);
        for (const open of [{ client, task }, direct]) {
          await open.client.send("still");
          expect(await open.task.receiveText(5)).toBe("still");
          open.client.close();
          open.task.close();
        }
      } finally {
        await mesh.close();
      }
    },
    TIMEOUT_MS,
  );

  test.concurrent(
    "a device that somebody removes is made again",
    async () => {
      const end = endOf("userspace", true);
      const mesh = await OverlayMesh.start({ label: "removed", ends: [end, end] }, "overlay");
      try {
        const machine = mesh.network.nodes[1]!;
        await machine.run("ip", "link", "delete", "portmesh4789");
        const isBack = async () => (await machine.run("ip", "-br", "link")).includes("portmesh4789");
        await waitFor(isBack, { what: "the device to be back", deadlineMs: 30_000 });
        await mesh.reaches("overlay");
        await mesh.isServed(); // meanwhile n1 had no way to the tasks, and closed their ports
        const { client, task } = await mesh.open();
        await client.send("served");
        expect(await task.receiveText(6)).toBe("served");
        client.close();
        task.close();
      } finally {
        await mesh.close();
      }
    },
    TIMEOUT_MS,
  );

  test.concurrent(
    "two nodes that took one address before they met settle it: the lower name keeps it",
    async () => {
      const subnet = "10.200.0.0/29";
      const end = `${endOf("userspace", true)}\nsubnet = "${subnet}"`;
      const wanted = (name: string) => chooseAddress({ name, subnet, current: null, claims: new Map() });
      expect(wanted("n4")).toBe(wanted("n2"));
      const mesh = await OverlayMesh.start(
        { label: "one-address", ends: [end, end], nodes: 4, latecomer: "n4" },
        "overlay",
      );
      try {
        const addresses = await Promise.all(
          mesh.cluster.nodes.map(async (node) => (await node.status()).overlay!.address!),
        );
        expect(new Set(addresses).size).toBe(4);
        expect(addresses[1]).toBe(wanted("n2")!);
        const { log } = mesh.cluster.node("n4");
        expect(log).toContain(`another node uses the address ${wanted("n4")}`);
        expect(log).not.toContain("cannot listen");
        const { client, task } = await mesh.open();
        await client.send("served");
        expect(await task.receiveText(6)).toBe("served");
        client.close();
        task.close();
      } finally {
        await mesh.close();
      }
    },
    TIMEOUT_MS,
  );
});
