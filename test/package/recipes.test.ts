/** The recipes for programs that start no container: what each program says of its file, and what it does with it. */
import { afterEach, expect, test } from "bun:test";
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import Ajv from "ajv";
import { servicesAt, startFarTask, waitForTcp } from "../support/container/far-task.ts";
import schema from "../support/container/kubernetes.schema.json" with { type: "json" };
import { lacksNamespaces, Namespaces } from "../support/network/namespaces.ts";
import type { NetworkNode } from "../support/network/network-node.ts";
import { EXECUTABLE, NodeProcess } from "../support/node/node-process.ts";
import { lacks } from "../support/os/require-program.ts";
import { tempDir } from "../support/os/temp-dir.ts";
import { waitFor } from "../support/time/wait-for.ts";

const RECIPES = "config/recipes";
const PUBLISHED = 8080;

const cleanUps: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

interface KubernetesObject {
  readonly kind: string;
  readonly data?: Readonly<Record<string, string>>;
  readonly stringData?: Readonly<Record<string, string>>;
}

function readObjects(): KubernetesObject[] {
  return Bun.YAML.parse(readFileSync(`${RECIPES}/kubernetes.yaml`, "utf8")) as KubernetesObject[];
}

test("kubernetes: every object fits its schema", () => {
  const ajv = new Ajv({ allErrors: true, allowUnionTypes: true });
  ajv.addSchema(schema, "kubernetes");
  const objects = readObjects();
  expect(objects.map(({ kind }) => kind)).toEqual([
    "Namespace",
    "Secret",
    "ConfigMap",
    "Service",
    "DaemonSet",
  ]);
  for (const object of objects) {
    const validate = ajv.getSchema(`kubernetes#/definitions/V1${object.kind}`)!;
    validate(object);
    expect([object.kind, validate.errors]).toEqual([object.kind, null]);
  }
});

test("kubernetes: the configuration is valid with the variables and the secret that a pod has", async () => {
  using directory = tempDir();
  const find = (kind: string) => readObjects().find((object) => object.kind === kind)!;
  writeFileSync(directory.file("keys"), find("Secret").stringData!.keys!);
  const config = find("ConfigMap").data!["portmesh.toml"]!;
  writeFileSync(
    directory.file("portmesh.toml"),
    config.replace("/run/secrets/portmesh/keys", directory.file("keys")),
  );
  const check = Bun.spawn([EXECUTABLE, "check", "-c", directory.file("portmesh.toml")], {
    env: { PORTMESH_NODE_NAME: "worker-1", PORTMESH_ADVERTISE: "192.0.2.7" },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const complaints = await check.stderr.text();
  expect([await check.exited, complaints]).toEqual([0, expect.not.stringContaining("error")]);
});

const OVERLAY_DRIVERS = ["kernel", "userspace"];
test.skipIf(lacks("systemd-analyze"))(
  "systemd: the drop-in files for overlay drivers have valid keys",
  async () => {
    for (const driver of OVERLAY_DRIVERS) {
      using directory = tempDir();
      writeFileSync(directory.file("portmesh.service"), "[Service]\nExecStart=/bin/true\n");
      mkdirSync(directory.file("portmesh.service.d"));
      copyFileSync(
        `${RECIPES}/systemd/overlay-${driver}.conf`,
        directory.file("portmesh.service.d/overlay.conf"),
      );
      const verify = Bun.spawn(["systemd-analyze", "verify", directory.file("portmesh.service")], {
        stdio: ["ignore", "ignore", "pipe"],
      });
      const complaints = await verify.stderr.text(); // unknown keys are warnings, the exit code is 0
      expect([driver, await verify.exited, complaints]).toEqual([driver, 0, ""]);
    }
  },
);

/** With this pair's address, interface and programs in place of the examples. */
function keepalivedFile(node: NodeProcess, virtualAddress: string): string {
  return readFileSync(`${RECIPES}/keepalived.conf`, "utf8")
    .replace("/usr/bin/portmesh health", `${EXECUTABLE} health --socket ${node.socket}`)
    .replace("192.0.2.100/24", `${virtualAddress}/24`);
}

function startKeepalived(machine: NetworkNode, file: string): void {
  const directory = tempDir();
  writeFileSync(directory.file("keepalived.conf"), file, { mode: 0o644 });
  const pids = ["pid", "vrrp_pid", "checkers_pid"].map((name) => `--${name}=${directory.file(name)}`);
  const command = [
    "keepalived",
    "--dont-fork",
    "--log-console",
    `--use-file=${directory.file("keepalived.conf")}`,
  ];
  const child = Bun.spawn([...machine.wrapper, ...command, ...pids], {
    stdio: ["ignore", "ignore", "ignore"],
  });
  cleanUps.push(async () => {
    child.kill("SIGTERM"); // its children end with it
    await child.exited;
    directory[Symbol.dispose]();
  });
}

test.skipIf(lacksNamespaces() || lacks("keepalived"))(
  "keepalived: the address moves to the other node when one stops serving",
  async () => {
    const network = Namespaces.create(2);
    cleanUps.push(() => network.close());
    const virtualAddress = `${network.subnet}.100`;
    const task = await startFarTask(network.outside);
    cleanUps.push(() => task.stop());
    const nodes = await Promise.all(
      network.nodes.map((machine) => NodeProcess.start(servicesAt(PUBLISHED, task), machine.wrapper)),
    );
    for (const node of nodes) cleanUps.push(() => node.kill());
    for (const [index, machine] of network.nodes.entries()) {
      startKeepalived(machine, keepalivedFile(nodes[index]!, virtualAddress));
    }
    const holders = async () => {
      const addresses = await Promise.all(network.nodes.map((machine) => machine.run("ip", "-o", "address")));
      return addresses.flatMap((text, index) => (text.includes(` ${virtualAddress}/`) ? [index] : []));
    };
    const first = await waitFor(async () => only(await holders()), {
      what: "one holder of the address",
      deadlineMs: 60_000,
    });
    await waitForTcp(virtualAddress, PUBLISHED);

    await nodes[first.index]!.kill();
    const isMoved = async () => only(await holders())?.index === 1 - first.index;
    await waitFor(isMoved, { what: "the address to move", deadlineMs: 60_000 });
    await waitForTcp(virtualAddress, PUBLISHED);
  },
);

function only(indices: readonly number[]): { readonly index: number } | null {
  return indices.length === 1 ? { index: indices[0]! } : null;
}
