/**
 * Keys of the cluster in a file of their own, on the compiled executable: rotated by rewriting the file, by renaming
 * another over it, and by swapping a link, while the cluster stays together; and where keys do not appear.
 */
import { expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import {
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { loopbackPlaces, MeshCluster } from "../support/cluster/mesh-cluster.ts";
import { NodeProcess, portmesh } from "../support/node/node-process.ts";
import { freePorts } from "../support/os/free-port.ts";
import { tempDir } from "../support/os/temp-dir.ts";
import { waitFor } from "../support/time/wait-for.ts";

const newKey = () => randomBytes(32).toString("base64");

/** Writes the files of the keys of both nodes in one of the ways operators do. */
type Put = (directory: string, text: string) => void;

const rewrite: Put = (directory, text) => writeFileSync(join(directory, "keys"), text, { mode: 0o600 });

const rename: Put = (directory, text) => {
  writeFileSync(join(directory, "keys.new"), text, { mode: 0o600 });
  renameSync(join(directory, "keys.new"), join(directory, "keys"));
};

/** As Kubernetes updates a volume: the file is a link into a directory that is a link. */
const swap: Put = (directory, text) => {
  const version = `..${randomBytes(4).toString("hex")}`;
  mkdirSync(join(directory, version));
  writeFileSync(join(directory, version, "keys"), text, { mode: 0o600 });
  symlinkSync(version, join(directory, "..new"));
  renameSync(join(directory, "..new"), join(directory, "..data"));
};

function count(text: string, words: string): number {
  return text.split(words).length - 1;
}

function expectNoKey(text: string, keys: readonly string[]): void {
  for (const key of keys) {
    for (let at = 0; at + 8 <= key.length; at++) expect(text).not.toContain(key.slice(at, at + 8));
  }
}

const withKeysFile = (file: string) => file.replace(/^keys = .*$/m, 'keys_file = "keys"');

test.concurrent.each([
  ["rewriting the file", rewrite],
  ["renaming another over it", rename],
  ["swapping the link of a volume", swap],
] as const)("keys are rotated by %s: the nodes stay together, and no output has a key", async (_, put) => {
  await using stops = new AsyncDisposableStack();
  const [old, next] = [newKey(), newKey()];
  const cluster = MeshCluster.prepare({
    label: "keys-file",
    places: loopbackPlaces(2),
    settings: { profile: "local" },
  });
  stops.defer(() => cluster.close());
  for (const node of cluster.nodes) {
    node.file = withKeysFile(node.file);
    if (put === swap) symlinkSync("..data/keys", join(node.directory, "keys"));
    put(node.directory, `# the first\n${old}\n`);
  }
  await Promise.all(cluster.nodes.map((node) => node.start()));
  await cluster.allAlive();
  const outputs: string[] = [];
  for (const [step, keys] of [[old, next], [next, old], [next]].entries()) {
    for (const node of cluster.nodes) put(node.directory, `${keys.join("\r\n")}\r\n`);
    await cluster.waitFor(
      async () => cluster.nodes.every(({ log }) => count(log, "configuration applied") === step + 1),
      { what: `both nodes to apply step ${step + 1}` },
    );
    const { stdout } = await cluster.nodes[0]!.command("status", "--json");
    expect(JSON.parse(stdout).config.lastReload.changes.settings).toMatchObject([{ key: "cluster.keys" }]);
    outputs.push(stdout);
  }
  await cluster.allAlive();
  for (const node of cluster.nodes) {
    expect(node.log).not.toContain("configuration refused");
    expect(node.log).not.toMatch(/node \S+ (?:failed|is dead)/);
    outputs.push(node.log, readFileSync(`/proc/${node.pid}/cmdline`, "utf8"));
    for (const command of ["status", "doctor", "reload"]) {
      outputs.push(JSON.stringify(await node.command(command)));
    }
    outputs.push(JSON.stringify(await portmesh("config", "-c", join(node.directory, "portmesh.toml"))));
  }
  expect(outputs.at(-1)).toContain("keys_file");
  expectNoKey(outputs.join("\n"), [old, next]);
});

/** One node, a cluster of its own. */
function aloneFile([port, relay]: readonly number[], rest: string): string {
  return `[node]\nname = "n1"\n[cluster]\nbind = "127.0.0.1:${port}"\n${rest}\n[overlay]\ndriver = "none"\nport = ${relay}\n[proxy]\nworkers = 1\n`;
}

async function reloads(
  node: NodeProcess,
  outcome: "applied" | "unchanged" | "refused",
  words = "",
): Promise<void> {
  await waitFor(
    async () => {
      const { lastReload } = (await node.status()).config;
      return lastReload?.outcome === outcome && JSON.stringify(lastReload).includes(words);
    },
    { what: `a reload that is ${outcome}: ${words}` },
  );
}

test.concurrent("a wrong file of keys changes nothing and is named with its line; a missing one is awaited", async () => {
  using dir = tempDir();
  const text = (file: string) => aloneFile(ports, `keys_file = "${file}"`);
  const ports = await freePorts(2);
  rewrite(dir.path, `${newKey()}\n`);
  const node = NodeProcess.startIn(dir.path, text("keys"));
  try {
    await node.serves();
    rewrite(dir.path, `${newKey()}\nnot a key\n`);
    await reloads(node, "refused", "a key that is not base64");
    expect(node.log).toContain(`${dir.file("keys")}:2: a key that is not base64`);
    expect((await portmesh("check", "-c", node.file)).stderr).toContain(`${dir.file("keys")}:2: `);
    expect((await portmesh("doctor", "--socket", node.socket)).stdout).toContain("keys:2");
    rewrite(dir.path, `${newKey()}\n`);
    await reloads(node, "applied", "cluster.keys");
    // the configuration names a file that is not there yet
    node.write(text("other"));
    await reloads(node, "refused", "cannot read");
    writeFileSync(dir.file("other"), `${newKey()}\n`, { mode: 0o600 });
    await reloads(node, "applied", "cluster.keys_file");
    expect(count(node.log, "cannot read")).toBe(1);
    rmSync(dir.file("other"));
    await reloads(node, "refused", "it does not exist");
  } finally {
    await node.kill();
  }
});

test.concurrent("a key from the environment: hidden everywhere, and a reload says that it stays", async () => {
  using dir = tempDir();
  const ports = await freePorts(2);
  const key = newKey();
  const file = aloneFile(ports, 'keys = ["${CLUSTER_KEY}"]');
  const node = NodeProcess.startIn(dir.path, file, ["env", `CLUSTER_KEY=${key}`, "PORTMESH_NODE_NAME=other"]);
  try {
    await node.serves();
    node.write(`${file}[[services]]\nname = "\${NAME:-web}"\npublish = []\n`);
    const refused = await portmesh("reload", "--socket", node.socket);
    node.write(`${file}[node.labels]\nzone = "\${ZONE:-a}"\n`);
    const reload = await portmesh("reload", "--socket", node.socket);
    expect(reload.stdout).toContain(
      "environment variables keep their values until a restart: CLUSTER_KEY, ZONE",
    );
    const status = await portmesh("status", "--json", "--socket", node.socket);
    expect(JSON.parse(status.stdout).node).toBe("n1");
    expectNoKey([refused, reload, status, node.log].map((output) => JSON.stringify(output)).join("\n"), [
      key,
    ]);
    expectNoKey(readFileSync(`/proc/${node.child.pid}/cmdline`, "utf8"), [key]);
  } finally {
    await node.kill();
  }
});

test.concurrent("a node that crashes leaves no core dump, whatever its shell allows", async () => {
  using dir = tempDir();
  const cores = () => readdirSync(dir.path).filter((name) => name.startsWith("core"));
  const allow = ["sh", "-c", 'ulimit -c unlimited && exec "$@"', "sh"];
  const isPipe = readFileSync("/proc/sys/kernel/core_pattern", "utf8").startsWith("|");
  const other = Bun.spawn([...allow, "sleep", "60"], { cwd: dir.path });
  await waitFor(() => readFileSync(`/proc/${other.pid}/cmdline`, "utf8").startsWith("sleep"), {
    what: "the other program",
  });
  other.kill("SIGSEGV");
  await other.exited;
  expect(cores()).toHaveLength(isPipe ? 0 : 1);
  for (const name of cores()) rmSync(dir.file(name));
  const node = NodeProcess.startIn(dir.path, "", allow);
  try {
    await node.serves();
    expect(readFileSync(`/proc/${node.child.pid}/limits`, "utf8")).toMatch(
      /^Max core file size +1 +unlimited/m,
    );
    node.child.kill("SIGABRT");
    await node.child.exited;
    expect(cores()).toEqual([]);
  } finally {
    await node.kill();
  }
});
