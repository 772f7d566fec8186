/**
 * The image in real engines, each on a machine of its own: dockerd on n1, podman on n2.
 *
 *   bridge:  test process ── n1 ── docker bridge ── three nodes     ports 8081..8083 of n1, TCP and UDP
 *   host:    test process ── n1, n2                              a node in each one's own network
 *
 * The only tasks run in the test process and belong to one node: whichever node is asked, they answer.
 */
import { afterAll, describe, expect, test } from "bun:test";
import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ContainerEngine, type EngineName } from "../support/container/container-engine.ts";
import {
  type FarTask,
  servicesAt,
  startFarTask,
  waitForTcp,
  waitForUdp,
} from "../support/container/far-task.ts";
import { NodeContainer } from "../support/container/node-container.ts";
import { ENGINE_PROGRAMS, loadTestImage, testImage } from "../support/container/test-image.ts";
import { HttpLoad } from "../support/load/http-load.ts";
import { lacksNamespaces, Namespaces } from "../support/network/namespaces.ts";
import type { NetworkNode } from "../support/network/network-node.ts";
import { lacks } from "../support/os/require-program.ts";
import { tempDir } from "../support/os/temp-dir.ts";
import { waitFor } from "../support/time/wait-for.ts";

const ENGINES = ["docker", "podman"] as const;
const KEY = Buffer.alloc(32, 7).toString("base64");
const PUBLISHED = 8080;
const PEERS = ["n1", "n2", "n3"];

const cleanUps: (() => unknown)[] = [];
afterAll(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

interface Bed {
  readonly directory: string;
  readonly engines: ReadonlyMap<EngineName, ContainerEngine>;
  readonly images: ReadonlyMap<EngineName, string>;
  readonly task: FarTask;
}

const isLacking = lacksNamespaces() || lacks(...new Set(ENGINES.flatMap((name) => ENGINE_PROGRAMS[name])));
const bed: Bed | null = isLacking ? null : await makeBed();

async function makeBed(): Promise<Bed> {
  const network = Namespaces.create(ENGINES.length);
  cleanUps.push(() => network.close());
  const directory = tempDir();
  cleanUps.push(() => directory[Symbol.dispose]());
  const engines = new Map<EngineName, ContainerEngine>();
  const images = new Map<EngineName, string>();
  await testImage();
  const start = async (name: EngineName, node: NetworkNode) => {
    const engine = await ContainerEngine.start(name, node);
    cleanUps.push(() => engine.close());
    engines.set(name, engine);
    images.set(name, await loadTestImage(engine));
  };
  await Promise.all(ENGINES.map((name, index) => start(name, network.nodes[index]!)));
  const task = await startFarTask(network.outside);
  cleanUps.push(() => task.stop());
  return { directory: directory.path, engines, images, task };
}

/** @param task of this node */
function configFile(join: readonly string[], task: FarTask | null): string {
  const cluster = `[cluster]\nkeys = ["${KEY}"]\njoin = ${JSON.stringify(join)}\nprofile = "local"\n`;
  return cluster + servicesAt(PUBLISHED, task);
}

/** Each ends as it should when it is told to. */
async function stopAll(containers: readonly NodeContainer[]): Promise<void> {
  expect(await Promise.all(containers.map((container) => container.stop()))).toEqual(containers.map(() => 0));
  await Promise.all(containers.map((container) => container.remove()));
}

for (const name of ENGINES) {
  describe.skipIf(bed === null)(name, () => {
    test("three containers on a bridge network are one mesh, TCP and UDP", async () => {
      const { engines, images, task, directory } = bed!;
      const engine = engines.get(name)!;
      await engine.run("network", "create", "mesh");
      const containers = await Promise.all(
        PEERS.map((peer, index) =>
          NodeContainer.start(engine, {
            image: images.get(name)!,
            name: peer,
            config: configFile(PEERS, index === 0 ? task : null),
            directory,
            options: [
              "--network=mesh",
              ...["tcp", "udp"].map((protocol) => `--publish=${8081 + index}:${PUBLISHED}/${protocol}`),
            ],
          }),
        ),
      );
      for (const [index, container] of containers.entries()) {
        await container.waitForServing();
        await waitForTcp(engine.node.address, 8081 + index);
        await waitForUdp(engine.node.address, 8081 + index);
      }
      expect(await containers[2]!.portmesh("node", "ls")).toMatch(/^n1 .*\n.*n2 .*\n.*n3 /m);
      await stopAll(containers);
    });

    test("the health check passes while the node serves", async () => {
      const { engines, images, directory } = bed!;
      const engine = engines.get(name)!;
      const container = await NodeContainer.start(engine, {
        image: images.get(name)!,
        name: "health",
        config: "services = []",
        directory,
        options: ["--network=none", "--health-interval=1s"],
      });
      await container.waitForServing();
      // without systemd podman leaves the probes to others
      if (name === "podman") await engine.run("healthcheck", "run", "health");
      const isHealthy = async () => (await container.inspect(".State.Health.Status")) === "healthy";
      await waitFor(isHealthy, { what: "a healthy container", deadlineMs: 60_000 });
      await stopAll([container]);
    });

    test("variables name the file and the node, and have values for it", async () => {
      const { engines, images, directory } = bed!;
      const engine = engines.get(name)!;
      const file = join(directory, `${name}.toml`);
      writeFileSync(file, '[[services]]\nname = "web"\npublish = ["${PORT}:80"]\ntasks = []\n');
      chmodSync(file, 0o644);
      const variables = { PORTMESH_CONFIG: "/config/node.toml", PORTMESH_NODE_NAME: "edge-9", PORT: "8099" };
      const container = await NodeContainer.start(engine, {
        image: images.get(name)!,
        name: "variables",
        config: "services = []",
        directory,
        options: [
          "--network=none",
          `--volume=${file}:/config/node.toml:ro`,
          ...Object.entries(variables).map(([key, value]) => `--env=${key}=${value}`),
        ],
      });
      await container.waitForServing();
      const status = JSON.parse(await container.portmesh("status", "--json"));
      expect(status).toMatchObject({ node: "edge-9", config: { file: "/config/node.toml" } });
      expect(await container.portmesh("service", "ls")).toContain("8099");
      await stopAll([container]);
    });

    test("a container that replaces another on its volume has its state", async () => {
      const { engines, images, directory } = bed!;
      const engine = engines.get(name)!;
      const container = {
        image: images.get(name)!,
        name: "kept",
        config: "services = []",
        directory,
        options: ["--network=none", "--volume=kept:/var/lib/portmesh"],
      };
      const first = await NodeContainer.start(engine, container);
      await first.waitForServing();
      await first.portmesh("service", "create", "--name", "stays", "--publish", "8080:80");
      await stopAll([first]);
      const second = await NodeContainer.start(engine, container);
      await second.waitForServing();
      expect(await second.portmesh("service", "ls")).toContain("stays");
      await stopAll([second]);
    });

    test("a container takes over from another on its volume, in the host's network", async () => {
      const { engines, images, task, directory } = bed!;
      const engine = engines.get(name)!;
      const container = {
        image: images.get(name)!,
        config: `[node]\nname = "edge-1"\n${servicesAt(PUBLISHED, task)}`,
        directory,
        options: ["--network=host", "--volume=taken:/var/lib/portmesh"],
      };
      const first = await NodeContainer.start(engine, { ...container, name: "old" });
      await first.waitForServing();
      await waitForTcp(engine.node.address, PUBLISHED);
      const load = new HttpLoad(engine.node.address, PUBLISHED, 2, { pauseMs: 10, timeoutMs: 60_000 });
      cleanUps.push(() => load.stop());
      const command = ["run", "--take-over"];
      const second = await NodeContainer.start(engine, { ...container, name: "new", command });
      const hasEnded = async () => (await first.inspect(".State.Running")) === "false";
      await waitFor(hasEnded, { what: "the end of the old container", deadlineMs: 60_000 });
      expect(await first.inspect(".State.ExitCode")).toBe("0");
      await second.waitForServing();
      const before = load.records.length;
      await waitFor(() => load.records.length > before + 10, { what: "requests after the takeover" });
      await load.stop();
      expect(load.failures).toEqual([]);
      await waitForUdp(engine.node.address, PUBLISHED);
      await first.remove();
      await stopAll([second]);
    });
  });
}

test.skipIf(bed === null)("nodes in the networks of hosts with different engines are one mesh", async () => {
  const { engines, images, task, directory } = bed!;
  const join = [...engines.values()].map(({ node }) => node.address);
  const containers = await Promise.all(
    [...engines].map(([name, engine], index) =>
      NodeContainer.start(engine, {
        image: images.get(name)!,
        name: `host-${index + 1}`,
        config: configFile(join, index === 0 ? task : null),
        directory,
        options: ["--network=host"],
      }),
    ),
  );
  for (const container of containers) {
    await container.waitForServing();
    await waitForTcp(container.engine.node.address, PUBLISHED);
    await waitForUdp(container.engine.node.address, PUBLISHED);
  }
  await stopAll(containers);
});
