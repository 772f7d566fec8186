/**
 * The README as a new user follows it, on machines with systemd and without Node.js, npm, curl or compiler, each on its
 * own: the executable by install.sh, and the Debian package. The configuration is the one in the README.
 *
 *   test process (clients) ── n1, n2: systemd; a web server at 127.0.0.1:80
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import packageJson from "../../package.json" with { type: "json" };
import { request } from "../support/load/http-load.ts";
import { lacksNamespaces, Namespaces } from "../support/network/namespaces.ts";
import { EXECUTABLE } from "../support/node/node-process.ts";
import { DebianRoot } from "../support/os/debian-root.ts";
import { lacks } from "../support/os/require-program.ts";
import { SystemdMachine } from "../support/os/systemd-machine.ts";
import { tempDir } from "../support/os/temp-dir.ts";
import { ARCHITECTURE, buildDebianPackage, DEBIAN_PACKAGES } from "../support/package/debian-package.ts";
import { waitFor } from "../support/time/wait-for.ts";

const SETUP_MS = 300_000;
const SERVED_MS = 120_000;
const README = readFileSync("README.md", "utf8");
const TARGETS = process.arch === "arm64" ? ["linux-arm64"] : ["linux-x64", "linux-x64-baseline"];

const isLacking = lacksNamespaces() || lacks("dpkg-deb", "debootstrap", "nsenter", "setpriv");
const cleanUps: (() => unknown)[] = [];

/** The block of code that follows these words. */
function block(language: string, words: string): string {
  const [, code] = new RegExp(`\`\`\`${language}\\n((?:(?!\`\`\`)[^])*?${words}[^]*?)\`\`\``).exec(README)!;
  return code!;
}

describe.skipIf(isLacking)("from the README alone", () => {
  let machines: SystemdMachine[];

  beforeAll(async () => {
    const network = Namespaces.create(2);
    cleanUps.push(() => network.close());
    machines = await Promise.all(
      network.nodes.map(async (node) => {
        const root = await DebianRoot.create(DEBIAN_PACKAGES);
        cleanUps.push(() => root[Symbol.asyncDispose]());
        const machine = await SystemdMachine.boot(root, node);
        cleanUps.push(() => machine[Symbol.asyncDispose]());
        const script =
          'Bun.serve({ hostname: "127.0.0.1", port: 80, fetch: () => new Response("my web", { headers: { connection: "close" } }) })';
        const web = Bun.spawn([...node.wrapper, process.execPath, "-e", script], {
          stdio: ["ignore", "ignore", "inherit"],
        });
        cleanUps.push(() => web.kill("SIGKILL"));
        return machine;
      }),
    );
  }, SETUP_MS);

  afterAll(async () => {
    for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
  });

  async function isServed(machine: SystemdMachine): Promise<void> {
    const isIt = async () => (await request(machine.node.address, 8080)).body === "my web";
    await waitFor(isIt, { what: "my-web at port 8080", deadlineMs: SERVED_MS });
  }

  test("neither machine has Node.js, npm or curl", async () => {
    for (const machine of machines)
      for (const program of ["node", "npm", "bun", "curl", "cc"])
        expect((await machine.run("which", program)).exitCode).toBe(1);
  });

  test("the executable, by install.sh: a port is served", async () => {
    const [machine] = machines as [SystemdMachine];
    const dist = machine.root.file("/root/dist");
    mkdirSync(dist);
    copyFileSync("build/package/install.sh", `${dist}/install.sh`);
    const hash = createHash("sha256").update(readFileSync(EXECUTABLE)).digest("hex");
    const names = TARGETS.map((target) => `portmesh-${packageJson.version}-${target}`);
    for (const name of names) copyFileSync(EXECUTABLE, `${dist}/${name}`);
    writeFileSync(`${dist}/SHA256SUMS`, names.map((name) => `${hash}  ${name}\n`).join(""));

    const [install] = block("sh", "sh dist/install.sh").split("#");
    await machine.succeed("env", "--chdir=/root", "sh", "-c", install!);
    mkdirSync(machine.root.file("/etc/portmesh"));
    writeFileSync(machine.root.file("/etc/portmesh/portmesh.toml"), block("toml", "\\[cluster\\]"));
    const [run] = block("sh", "portmesh check").split("#");
    const unit = ["systemd-run", "--unit=by-hand", "--setenv=PATH=/usr/local/bin:/usr/bin:/bin"];
    await machine.succeed(...unit, "sh", "-c", run!);
    await isServed(machine);
    expect(await machine.succeed("portmesh", "status")).toContain("my-web");
    const trace = await machine.succeed("portmesh", "trace", "8080");
    expect(trace).toContain("service my-web  target 80");
  });

  test("the package: a port is served as soon as the file is saved", async () => {
    const machine = machines[1]!;
    using directory = tempDir();
    const built = await buildDebianPackage(packageJson.version, directory.path);
    mkdirSync(machine.root.file("/root/dist"));
    copyFileSync(built, machine.root.file(`/root/dist/portmesh_${packageJson.version}_${ARCHITECTURE}.deb`));
    const [install] = block("sh", "apt install").split("#");
    const command = install!.replace("_amd64", `_${ARCHITECTURE}`).replace("apt install", "apt install -y");
    await machine.succeed("env", "--chdir=/root", "sh", "-c", command);
    writeFileSync(machine.root.file("/etc/portmesh/portmesh.toml"), block("toml", "\\[cluster\\]"));
    await isServed(machine);
  });
});
