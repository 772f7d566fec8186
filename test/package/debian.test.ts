/**
 * The Debian package: what is in it, and its life in a Debian without systemd, where the node is started by hand as the
 * user of the package. With systemd running: systemd.test.ts.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename } from "node:path";
import { HttpLoad, request } from "../support/load/http-load.ts";
import { type HttpTask, startNamedTask } from "../support/load/http-task.ts";
import { DebianRoot } from "../support/os/debian-root.ts";
import { freePort } from "../support/os/free-port.ts";
import { lacks } from "../support/os/require-program.ts";
import { type TempDir, tempDir } from "../support/os/temp-dir.ts";
import { ARCHITECTURE, buildDebianPackage, DEBIAN_PACKAGES } from "../support/package/debian-package.ts";
import { waitFor } from "../support/time/wait-for.ts";

const SETUP_MS = 300_000;
const FIRST = "1.0.0";
const SECOND = "1.1.0";
const CONFIG = "/etc/portmesh/portmesh.toml";
const isPossible = !lacks("dpkg-deb", "debootstrap", "lintian", "mandoc", "man", "systemd-analyze");

let dir: TempDir;
/** Made beside the other tests: it waits for the network and the disk. */
let rootInTheMaking: Promise<DebianRoot> | null = null;

async function run(...command: string[]): Promise<{ exitCode: number; output: string }> {
  const child = Bun.spawn(command, { stdio: ["ignore", "pipe", "pipe"] });
  const [stdout, stderr] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  return { exitCode: child.exitCode!, output: stdout + stderr };
}

describe.skipIf(!isPossible)("the package", () => {
  let first: string;

  beforeAll(async () => {
    dir = tempDir();
    rootInTheMaking = DebianRoot.create(DEBIAN_PACKAGES);
    rootInTheMaking.catch(() => {}); // the tests that need it report it
    first = await buildDebianPackage(FIRST, dir.path);
  }, SETUP_MS);

  afterAll(() => dir[Symbol.dispose]());

  test(
    "lintian finds nothing that is not overridden with a reason",
    async () => {
      expect((await run("dpkg-deb", "--field", first, "Version")).output).toBe(`${FIRST}\n`);
      const { output } = await run("lintian", "--info", "--display-info", "--pedantic", first);
      expect(output.split("\n").filter((line) => /^[EWIP]: /.test(line))).toEqual([]);
    },
    SETUP_MS,
  );

  test("two builds are byte-identical", async () => {
    mkdirSync(dir.file("again"));
    const again = await buildDebianPackage(FIRST, dir.file("again"));
    expect(await sha256(again)).toBe(await sha256(first));
  });

  test("the manual pages are clean, and say what --help and the schema say", async () => {
    const root = dir.file("extracted");
    expect((await run("dpkg-deb", "--extract", first, root)).exitCode).toBe(0);
    const pages = [
      `${root}/usr/share/man/man1/portmesh.1.gz`,
      `${root}/usr/share/man/man5/portmesh.toml.5.gz`,
    ];
    for (const page of pages) {
      const text = dir.file(basename(page, ".gz"));
      writeFileSync(text, Bun.gunzipSync(readFileSync(page)));
      expect((await run("mandoc", "-Tlint", "-Wwarning", text)).output).toBe("");
      expect(
        (await run("man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", text)).output,
      ).not.toContain("warning");
    }
    const [command, config] = pages.map((page) =>
      Bun.spawnSync(["man", "-l", page], { env: PLAIN }).stdout.toString(),
    );
    expect(command).toContain("portmesh service create --name <name> --publish <port> [options]");
    expect(command).toContain("--balance <how>");
    expect(config).toContain("services.udp.max_sessions");
    expect(config).toContain('Default: "0.0.0.0:7946".');
  });

  test("the unit is right, and exposes little", async () => {
    const root = dir.file("unit");
    expect((await run("dpkg-deb", "--extract", first, root)).exitCode).toBe(0);
    const unit = `${root}/usr/lib/systemd/system/portmesh.service`;
    const { output } = await run("systemd-analyze", "verify", "--man=no", "--recursive-errors=no", unit);
    // what is left is about this machine, which has not installed the package
    expect(
      output.split("\n").filter((line) => line !== "" && !line.includes("/usr/bin/portmesh is not exec")),
    ).toEqual([]);
    const security = await run("systemd-analyze", "security", "--offline=true", "--threshold=20", unit);
    expect(security).toMatchObject({ exitCode: 0 });
  });
});

const PLAIN = { PATH: "/usr/bin:/bin", MANWIDTH: "120", LC_ALL: "C.UTF-8", MANROFFOPT: "-c" };

async function sha256(path: string): Promise<string> {
  return new Bun.CryptoHasher("sha256").update(await Bun.file(path).bytes()).digest("hex");
}

describe.skipIf(!isPossible)("installed in a Debian without systemd", () => {
  let root: DebianRoot;
  let task: HttpTask;
  let port: number;
  let node: Bun.Subprocess<"ignore", "pipe", "pipe"> | null = null;

  beforeAll(async () => {
    dir = tempDir();
    task = startNamedTask("task");
    port = await freePort();
    root = await rootInTheMaking!;
    for (const version of [FIRST, SECOND]) {
      const file = await buildDebianPackage(version, dir.path);
      copyFileSync(file, root.file(basename(file)));
    }
  }, SETUP_MS);

  afterAll(async () => {
    node?.kill("SIGKILL");
    await node?.exited;
    await root?.[Symbol.asyncDispose]();
    await task?.stop();
    dir[Symbol.dispose]();
  });

  async function succeed(...command: string[]): Promise<string> {
    const { exitCode, output } = await root.run(...command);
    if (exitCode !== 0) throw new Error(`${command.join(" ")} ended with ${exitCode}: ${output}`);
    return output;
  }

  function install(version: string): Promise<string> {
    return succeed("dpkg", "--install", `/portmesh_${version}_${ARCHITECTURE}.deb`);
  }

  async function isServed(): Promise<boolean> {
    return (await request("127.0.0.1", port)).body === "task";
  }

  test("install makes the user, and a file that only root and the service read", async () => {
    await install(FIRST);
    expect(await succeed("stat", "-c", "%U %G %a", CONFIG)).toBe("root portmesh 640\n");
    expect(await succeed("stat", "-c", "%U %a", "/var/lib/portmesh")).toBe("portmesh 700\n");
    expect(await succeed("dpkg-query", "--show", "-f", "${Conffiles}", "portmesh")).toContain(CONFIG);
    expect(
      await succeed("readlink", "/etc/systemd/system/multi-user.target.wants/portmesh.service"),
    ).toContain("portmesh.service");
    expect(await succeed("portmesh", "check", "-c", CONFIG)).toBe(`${CONFIG}: ok\n`);
  });

  test("the file works unedited: the node serves a port that a command publishes", async () => {
    node = root.start("portmesh:portmesh", "/usr/bin/portmesh", "run", "-c", CONFIG);
    await waitFor(async () => (await root.run("portmesh", "status")).exitCode === 0, {
      what: "the node to answer",
    });
    await succeed(
      "portmesh",
      "service",
      "create",
      "--name",
      "web",
      "-p",
      `${port}:80`,
      "--task",
      `127.0.0.1:${task.port}`,
    );
    await waitFor(isServed, { what: "the port to be served" });
  });

  async function pid(): Promise<number> {
    const status = await succeed("portmesh", "status", "--json");
    return (JSON.parse(status) as { pid: number }).pid;
  }

  test("an upgrade leaves an edited file alone and hands over to the new executable; no client notices it", async () => {
    const before = await pid();
    writeFileSync(root.file(CONFIG), `${readFileSync(root.file(CONFIG), "utf8")}# edited\n`);
    const load = new HttpLoad("127.0.0.1", port, 2, { pauseMs: 5 });
    await install(SECOND);
    expect(await pid()).not.toBe(before);
    const { length } = load.records;
    await waitFor(() => load.records.length > length + 10, { what: "requests after the upgrade" });
    await load.stop();
    expect(load.failures).toEqual([]);
    expect(readFileSync(root.file(CONFIG), "utf8")).toEndWith("# edited\n");
    expect(await succeed("stat", "-c", "%U %G %a", CONFIG)).toBe("root portmesh 640\n");
  });

  test("remove stops the node and keeps configuration and state", async () => {
    await succeed("dpkg", "--remove", "portmesh");
    await waitFor(async () => !(await isServed()), { what: "the port to be closed" });
    await node!.exited;
    node = null;
    expect(root.has("/usr/bin/portmesh")).toBe(false);
    expect([root.has(CONFIG), root.has("/var/lib/portmesh")]).toEqual([true, true]);
  });

  test("purge leaves nothing", async () => {
    writeFileSync(root.file("/etc/portmesh/cluster.keys"), "secret\n");
    await succeed("dpkg", "--purge", "portmesh");
    expect(
      (await root.run("find", "/", "-xdev", "-name", "*portmesh*", "-not", "-name", "*.deb")).output,
    ).toBe("");
    expect((await root.run("getent", "passwd", "portmesh")).exitCode).toBe(2);
    expect((await root.run("getent", "group", "portmesh")).exitCode).toBe(2);
    expect((await root.run("dpkg-query", "--status", "portmesh")).exitCode).toBe(1);
  });
});
