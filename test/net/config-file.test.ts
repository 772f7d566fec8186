/**
 * What a running node makes of a configuration file that has become empty, is gone, is something else than a file, or
 * was rewritten behind its back. The compiled executable on loopback.
 */
import { expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import {
  chmodSync,
  chownSync,
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loopbackPlaces, MeshCluster } from "../support/cluster/mesh-cluster.ts";
import { serviceFile } from "../support/cluster/mesh-config.ts";
import { request } from "../support/load/http-load.ts";
import { type HttpTask, startNamedTask } from "../support/load/http-task.ts";
import { type NodeProcess, NodeProcess as Nodes, portmesh } from "../support/node/node-process.ts";
import { freePorts } from "../support/os/free-port.ts";
import { findProgram, lacks } from "../support/os/require-program.ts";
import { waitFor } from "../support/time/wait-for.ts";

const KEPT = "nothing changed: 1 problem";
/** What a node at rest has, with room for the garbage of a busy test. */
const MAX_RSS_KIB = 256 * 1024;

interface Served {
  readonly node: NodeProcess;
  readonly ports: readonly [number, number];
  /** The file with "web" on the first or the second port. */
  text(port: number): string;
  answers(port: number): Promise<boolean>;
}

async function serve(stops: AsyncDisposableStack): Promise<Served> {
  const task: HttpTask = startNamedTask("task");
  stops.defer(() => task.stop());
  const [one, two] = (await freePorts(2)) as [number, number];
  const text = (port: number) =>
    `${serviceFile({ name: "web", publish: [`${port}:${task.port}`], tasks: ["127.0.0.1"] })}\n`;
  const node = await Nodes.start(text(one));
  stops.defer(() => node.kill());
  const answers = async (port: number) => (await request("127.0.0.1", port)).body === "task";
  await waitFor(() => answers(one), { what: "the first answer" });
  return { node, ports: [one, two], text, answers };
}

/** Waits until status says that the last reload was refused because of this. */
async function refuses(node: NodeProcess, message: string): Promise<void> {
  await waitFor(
    async () => {
      const { lastReload } = (await node.status()).config;
      return lastReload?.outcome === "refused" && lastReload.problems[0]!.message.includes(message);
    },
    { what: `the file to be refused: ${message}` },
  );
}

async function reloadsAs(node: NodeProcess, outcome: "applied" | "unchanged"): Promise<void> {
  await waitFor(async () => (await node.status()).config.lastReload?.outcome === outcome, {
    what: `a reload that is ${outcome}`,
  });
}

function linesWith(node: NodeProcess, words: string): string[] {
  return node.log.split("\n").filter((line) => line.includes(words));
}

test.concurrent.each(["", "\n\n", "# saved on a full disk\n", "\uFEFF", "[proxy]\n"])(
  "emptied to %j: the ports stay, reload and check say why, and a start fails",
  async (contents) => {
    await using stops = new AsyncDisposableStack();
    const { node, ports, text, answers } = await serve(stops);
    writeFileSync(node.file, contents);
    await refuses(node, "empty: it sets no key");
    expect(await answers(ports[0])).toBe(true);
    const reload = await portmesh("reload", "--socket", node.socket);
    expect(reload.exitCode).toBe(1);
    expect(reload.stderr).toContain("empty: it sets no key");
    expect((await portmesh("status", "--socket", node.socket)).stdout).toContain("empty: it sets no key");
    for (const command of ["check", "run", "config"]) {
      const { exitCode, stdout, stderr } = await portmesh(command, "-c", node.file);
      expect([exitCode, stdout]).toEqual([2, ""]);
      expect(stderr).toContain(`${node.file}: empty: it sets no key`);
    }
    node.write(text(ports[1]));
    await reloadsAs(node, "applied");
    await waitFor(() => answers(ports[1]), { what: "the second port" });
  },
);

test.concurrent("emptied on one node of a cluster: the services stay everywhere", async () => {
  await using stops = new AsyncDisposableStack();
  const cluster = await MeshCluster.start({
    label: "config-file",
    places: loopbackPlaces(2),
    settings: { profile: "local" },
    services: (_, index) => (index === 0 ? serviceFile({ name: "web", publish: ["8080:80"] }) : ""),
  });
  stops.defer(() => cluster.close());
  const [n1] = cluster.nodes as [(typeof cluster.nodes)[0]];
  const before = await cluster.agree((services) => services.some(({ name }) => name === "web"));
  writeFileSync(join(n1.directory, "portmesh.toml"), "");
  await cluster.waitFor(async () => n1.log.includes("empty: it sets no key"), { what: "the refusal" });
  expect(await cluster.agree()).toEqual(before);
});

test.concurrent("deleted: the ports stay, log and status say it once, and it ends when the file is back", async () => {
  await using stops = new AsyncDisposableStack();
  const { node, ports, text, answers } = await serve(stops);
  rmSync(node.file);
  await refuses(node, "cannot read the file: it does not exist");
  expect(await answers(ports[0])).toBe(true);
  const { stdout } = await portmesh("status", "--socket", node.socket);
  expect(stdout.replace(/\s+/g, " ")).toContain("cannot read the file: it does not exist: restore it");
  node.write(text(ports[0]));
  await reloadsAs(node, "unchanged");
  expect(linesWith(node, "it does not exist")).toHaveLength(1);
  expect(linesWith(node, KEPT)).toHaveLength(1);
  rmSync(node.file);
  await refuses(node, "it does not exist");
  node.write(text(ports[1]));
  await reloadsAs(node, "applied");
  expect(linesWith(node, "it does not exist")).toHaveLength(2);
});

const unfit: [string, string, (path: string) => unknown][] = [
  ["a directory", "it is a directory", (path) => mkdirSync(path)],
  ["a pipe", "it is a pipe", (path) => Bun.spawnSync(["mkfifo", path])],
  ["a link to an endless device", "it is a device", (path) => symlinkSync("/dev/zero", path)],
  ["a link to itself", "form a loop", (path) => symlinkSync(path, path)],
  ["a link to nothing", "it does not exist", (path) => symlinkSync("/nowhere", path)],
  [
    "1 GiB",
    "1073741824 bytes: at most",
    (path) => {
      writeFileSync(path, "");
      truncateSync(path, 2 ** 30);
    },
  ],
];

test.concurrent.each(unfit)(
  "replaced by %s: refused, and the node stays small and serves",
  async (_, message, put) => {
    await using stops = new AsyncDisposableStack();
    const { node, ports, text, answers } = await serve(stops);
    rmSync(node.file);
    put(node.file);
    await refuses(node, message);
    const check = await portmesh("check", "-c", node.file);
    expect(check.exitCode).toBe(2);
    expect(check.stderr).toContain(message);
    expect(await answers(ports[0])).toBe(true);
    expect(await peakKib(node)).toBeLessThan(MAX_RSS_KIB);
    rmSync(node.file, { recursive: true });
    node.write(text(ports[1]));
    await reloadsAs(node, "applied");
  },
);

async function peakKib(node: NodeProcess): Promise<number> {
  const status = await Bun.file(`/proc/${node.child.pid}/status`).text();
  return Number(/VmHWM:\s+(\d+)/.exec(status)![1]);
}

test.concurrent.skipIf(process.getuid!() !== 0 || lacks("setpriv"))(
  "made unreadable for the user of the node: told, until it can be read",
  async () => {
    await using stops = new AsyncDisposableStack();
    const UNKNOWN_PEER = 65_534;
    const directory = mkdtempSync(join(tmpdir(), "portmesh-test-"));
    stops.defer(() => rmSync(directory, { recursive: true }));
    chownSync(directory, UNKNOWN_PEER, UNKNOWN_PEER);
    const wrapper = [
      findProgram("setpriv")!,
      `--reuid=${UNKNOWN_PEER}`,
      `--regid=${UNKNOWN_PEER}`,
      "--clear-groups",
    ];
    const node = Nodes.startIn(directory, `[node]\ndata_dir = "${directory}/data"\n`, wrapper);
    stops.defer(() => node.kill());
    await node.serves();
    chmodSync(node.file, 0o600);
    await refuses(node, "permission denied: make it readable");
    chmodSync(node.file, 0o644);
    await reloadsAs(node, "unchanged");
    expect(linesWith(node, "permission denied")).toHaveLength(1);
  },
);

test.concurrent("rewritten in place with the same length and time: applied", async () => {
  await using stops = new AsyncDisposableStack();
  const { node, ports, text, answers } = await serve(stops);
  const same = text(ports[0]).length === text(ports[1]).length ? ports[1] : null;
  const next = same === null ? `${text(ports[0]).trimEnd()}#` : text(same);
  const { atime, mtime, size } = statSync(node.file);
  const [admin] = (await Bun.file(node.file).text()).split("[[services]]") as [string];
  const file = openSync(node.file, "r+");
  writeSync(file, admin + next);
  closeSync(file);
  utimesSync(node.file, atime, mtime);
  expect([statSync(node.file).size, statSync(node.file).mtimeMs]).toEqual([size, mtime.getTime()]);
  await reloadsAs(node, "applied");
  await waitFor(() => answers(ports[1]), { what: "the second port" });
});

test.concurrent("a volume that swaps its link to an empty file and back to a good one", async () => {
  await using stops = new AsyncDisposableStack();
  const { node, ports, text } = await serve(stops);
  const full = await Bun.file(node.file).text();
  for (const [version, contents] of [
    ["v1", full],
    ["v2", ""],
    ["v3", full.replace(text(ports[0]), text(ports[1]))],
  ] as const) {
    mkdirSync(join(node.directory, version));
    writeFileSync(join(node.directory, version, "portmesh.toml"), contents);
  }
  const swap = (version: string) => {
    symlinkSync(version, join(node.directory, "..tmp"));
    renameSync(join(node.directory, "..tmp"), join(node.directory, "..data"));
  };
  swap("v1");
  rmSync(node.file);
  symlinkSync("..data/portmesh.toml", node.file);
  swap("v2");
  await refuses(node, "empty: it sets no key");
  swap("v3");
  await reloadsAs(node, "applied");
});

test.concurrent("a state file that is a pipe or a link to an endless device: the node starts and logs it", async () => {
  await using stops = new AsyncDisposableStack();
  for (const put of [
    (path: string) => Bun.spawnSync(["mkfifo", path]),
    (path: string) => symlinkSync("/dev/zero", path),
  ]) {
    const cluster = MeshCluster.prepare({ label: "config-file", places: loopbackPlaces(1) });
    stops.defer(() => cluster.close());
    const [node] = cluster.nodes as [(typeof cluster.nodes)[0]];
    const state = join(node.directory, "data", "state");
    mkdirSync(join(node.directory, "data"));
    put(state);
    await node.start();
    expect(node.log).toContain("not a regular file");
  }
});

test.concurrent("what is linked in the place of the new state file is not overwritten", async () => {
  await using stops = new AsyncDisposableStack();
  const cluster = MeshCluster.prepare({ label: "config-file", places: loopbackPlaces(1) });
  stops.defer(() => cluster.close());
  const [node] = cluster.nodes as [(typeof cluster.nodes)[0]];
  const victim = join(node.directory, "victim");
  writeFileSync(victim, "precious");
  mkdirSync(join(node.directory, "data"));
  symlinkSync(victim, join(node.directory, "data", "state.new"));
  await node.start();
  await node.command("service", "create", "--name", "web", "--publish", "8080:80");
  await node.stop();
  expect(await Bun.file(victim).text()).toBe("precious");
  expect(await Bun.file(join(node.directory, "data", "state")).text()).toContain("portmesh-catalog");
});

test.concurrent("mistakes around cluster.keys: no output of the node or of a command holds a key", async () => {
  await using stops = new AsyncDisposableStack();
  const key = randomBytes(32).toString("base64");
  const cluster = MeshCluster.prepare({
    label: "config-file",
    places: loopbackPlaces(1),
    settings: { keys: [key] },
    services: () => serviceFile({ name: "web", publish: ["8080:80"] }),
  });
  stops.defer(() => cluster.close());
  const [node] = cluster.nodes as [(typeof cluster.nodes)[0]];
  await node.start();
  const file = join(node.directory, "portmesh.toml");
  expect(node.log).toContain(`every user of this machine can read cluster.keys: chmod o-r ${file}`);
  const right = `keys = ["${key}"]`;
  const mistakes = [
    `keys = "${key}"`,
    `keys = ["${key.slice(1)}"]`,
    `key = ["${key}"]`,
    `keys = { primary = "${key}" }`,
    `keys."${key}" = true`,
    `"${key}" = true`,
    `keys = ["${key}]`,
    `keys = ["${key}"]\nname = "${key}"`,
    `keys = ["${key}", "${key}"]\njoin = "${key}"`,
  ];
  const outputs: string[] = [];
  for (const mistake of mistakes) {
    const text = node.file.replace(right, mistake);
    expect(text).not.toBe(node.file);
    const report = await node.reload(text);
    node.file = text.replace(mistake, right);
    expect(report.outcome).toBe("refused");
    outputs.push(JSON.stringify(report));
    const answers = await Promise.all([
      ...["status", "reload", "doctor"].flatMap((command) => [
        node.command(command),
        node.command(command, "--json"),
      ]),
      node.command("reload", "--dry-run"),
      ...["check", "config", "run"].map((command) => portmesh(command, "-c", file)),
      portmesh("check", "-c", file, "--json"),
    ]);
    outputs.push(...answers.map((answer) => JSON.stringify(answer)));
  }
  outputs.push(node.log);
  for (const output of outputs) {
    for (let at = 1; at + 8 <= key.length; at++) expect(output).not.toContain(key.slice(at, at + 8));
  }
  expect((await node.reload(node.file)).outcome).toBe("unchanged");
});
