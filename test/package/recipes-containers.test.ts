/**
 * The recipes for containers, each with the program it is for, on three machines that are one mesh, and HAProxy in
 * front of them:
 *
 *   test process ── n1, n2   dockerd, docker compose
 *                 └ n3       podman, with the command that quadlet makes
 */
import { afterAll, expect, test } from "bun:test";
import { chmodSync, chownSync, copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { unpackPackages } from "../../build/image/debian-packages.ts";
import { ContainerEngine, type EngineName } from "../support/container/container-engine.ts";
import {
  type FarTask,
  servicesAt,
  startFarTask,
  waitForTcp,
  waitForUdp,
} from "../support/container/far-task.ts";
import { ENGINE_PROGRAMS, loadTestImage, testImage } from "../support/container/test-image.ts";
import { request } from "../support/load/http-load.ts";
import { lacksNamespaces, Namespaces } from "../support/network/namespaces.ts";
import type { NetworkNode } from "../support/network/network-node.ts";
import { freePort } from "../support/os/free-port.ts";
import { lacks } from "../support/os/require-program.ts";
import { startProgram } from "../support/os/start-program.ts";
import { tempDir } from "../support/os/temp-dir.ts";
import { haproxyFrontConfig } from "../support/proxy/haproxy-front.ts";

const RECIPES = "config/recipes";
const PUBLISHED = 8080;
const PORTMESH_USER = 65_532;
const KEY = Buffer.alloc(32, 7).toString("base64");
/** Newer than the engines': podman has quadlet since 4.4, and compose is in Go since 2.0. */
const TOOLS = { suite: "trixie", architecture: process.arch === "arm64" ? "arm64" : "amd64" };
/** As the recipes say. */
const KEYS_FILES: Readonly<Record<EngineName, string>> = {
  docker: "/run/secrets/portmesh-keys",
  podman: "/run/portmesh-keys",
};
const MACHINES: readonly EngineName[] = ["docker", "docker", "podman"];

const cleanUps: (() => unknown)[] = [];
afterAll(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

const isLacking =
  lacksNamespaces() ||
  lacks("apt-get", "dpkg-deb", "haproxy", ...ENGINE_PROGRAMS.docker, ...ENGINE_PROGRAMS.podman);

interface Tools {
  readonly compose: string;
  readonly quadlet: string;
}

async function fetchTools(): Promise<Tools> {
  const release = { ...TOOLS, cache: "node_modules/.cache/portmesh-image" };
  const [compose, podman] = (await unpackPackages(release, ["docker-compose", "podman"])) as [string, string];
  return {
    compose: join(compose, "usr/libexec/docker/cli-plugins/docker-compose"),
    quadlet: join(podman, "usr/libexec/podman/quadlet"),
  };
}

/** The files a user puts on one host. @param keys where the container has them */
function writeHostFiles(
  directory: string,
  keys: string,
  joined: readonly string[],
  task: FarTask | null,
): void {
  mkdirSync(join(directory, "portmesh"), { recursive: true });
  for (const recipe of ["compose.yaml", "portmesh.container"]) {
    copyFileSync(join(RECIPES, recipe), join(directory, recipe));
  }
  const cluster = `[cluster]
keys_file = "${keys}"
join = ${JSON.stringify(joined)}
profile = "local"
`;
  writeFileSync(join(directory, "portmesh/portmesh.toml"), cluster + servicesAt(PUBLISHED, task));
  const secret = join(directory, "portmesh.keys");
  writeFileSync(secret, `${KEY}\n`);
  chmodSync(secret, 0o400);
  chownSync(secret, PORTMESH_USER, PORTMESH_USER);
}

/** The command that quadlet makes, without what needs systemd. */
async function quadletCommand(quadlet: string, directory: string, image: string): Promise<string[]> {
  const units = join(directory, "quadlet");
  mkdirSync(units);
  const recipe = readFileSync(join(directory, "portmesh.container"), "utf8")
    .replace("Volume=/etc/portmesh:", `Volume=${directory}/portmesh:`)
    .replace(/^Image=.*/m, `Image=${image}`);
  writeFileSync(join(units, "portmesh.container"), recipe);
  const child = Bun.spawn([quadlet, "-dryrun"], {
    env: { QUADLET_UNIT_DIRS: units },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const [text, complaints] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  expect([await child.exited, complaints.replace(/^.*Loading source unit file .*\n/m, "")]).toEqual([0, ""]);
  const [, command] = /^ExecStart=\S*podman (.*)$/m.exec(text)!;
  const needsSystemd = /^--(?:cgroups|sdnotify|cidfile)=/;
  return command!.split(" ").filter((option) => !needsSystemd.test(option));
}

test.skipIf(isLacking)("compose and quadlet: a node on each host, one mesh, HAProxy in front", async () => {
  const network = Namespaces.create(MACHINES.length);
  cleanUps.push(() => network.close());
  const task = await startFarTask(network.outside);
  cleanUps.push(() => task.stop());
  using root = tempDir();
  const tools = await fetchTools();
  await testImage();

  const startHost = async (name: EngineName, machine: NetworkNode) => {
    const directory = root.file(machine.name);
    writeHostFiles(
      directory,
      KEYS_FILES[name],
      network.nodes.map(({ address }) => address),
      machine.name === "n1" ? task : null,
    );
    const engine = await ContainerEngine.start(name, machine);
    cleanUps.push(() => engine.close());
    const image = await loadTestImage(engine);
    if (name === "podman") {
      await engine.run("secret", "create", "portmesh-keys", join(directory, "portmesh.keys"));
      await engine.run(...(await quadletCommand(tools.quadlet, directory, image)));
    } else {
      await engine.runBeside([`PORTMESH_IMAGE=${image}`, tools.compose, "up", "--detach"], directory);
    }
    return { engine, directory, image };
  };
  const hosts = await Promise.all(MACHINES.map((name, index) => startHost(name, network.nodes[index]!)));
  for (const { address } of network.nodes) {
    await waitForTcp(address, PUBLISHED);
    await waitForUdp(address, PUBLISHED);
  }

  await Promise.all(hosts.map(({ engine, image }) => expectHiddenKey(engine, image)));

  const front = await freePort();
  const haproxy = startProgram(
    "haproxy",
    {
      "haproxy.cfg": haproxyFrontConfig(
        front,
        network.nodes.map(({ address }) => `${address}:${PUBLISHED}`),
      ),
    },
    (directory) => ["-f", `${directory}/haproxy.cfg`],
  );
  cleanUps.push(() => haproxy.stop());
  await waitForTcp("127.0.0.1", front);

  const [, second] = hosts;
  await second!.engine.runBeside([tools.compose, "down"], second!.directory);
  expect(await second!.engine.run("volume", "ls", "--quiet")).toContain("_state");
  const answers = await Promise.all(Array.from({ length: 30 }, () => request("127.0.0.1", front)));
  expect(answers.filter(({ error }) => error !== null)).toEqual([]);
});

/** Not where the engine, its users, and those who read logs and process lists would see it. */
async function expectHiddenKey(engine: ContainerEngine, image: string): Promise<void> {
  const containers = (await engine.run("ps", "--quiet")).trim().split("\n");
  expect(containers).toHaveLength(1);
  const { stdout, stderr } = await engine.try("logs", containers[0]!);
  const places = {
    containers: await engine.run("inspect", ...containers),
    logs: stdout + stderr,
    processes: await engine.run("top", containers[0]!),
    image: await engine.run("image", "inspect", image),
    layers: await engine.run("history", "--no-trunc", image),
  };
  expect(places.containers).toContain("portmesh-keys");
  expect(places.logs).toContain('"msg":"serving');
  expect(places.processes).toContain("portmesh run");
  for (const [place, text] of Object.entries(places))
    expect([place, text.includes(KEY)]).toEqual([place, false]);
}
