/**
 * The package in a Debian with a real systemd, which is the first process of a machine on a test network:
 *
 *   test process (clients, tasks) ── n1: systemd, portmesh.service
 *
 * The tests build on each other: installed, reloaded, replaced in every way, removed, purged.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, copyFileSync, rmSync, writeFileSync } from "node:fs";
import { basename } from "node:path";
import { type FarTask, startFarTask, waitForTcp } from "../support/container/far-task.ts";
import { HeldConnection } from "../support/load/held-connection.ts";
import { accepts, HttpLoad } from "../support/load/http-load.ts";
import { lacksNamespaces, Namespaces } from "../support/network/namespaces.ts";
import { DebianRoot } from "../support/os/debian-root.ts";
import { lacks } from "../support/os/require-program.ts";
import { SystemdMachine } from "../support/os/systemd-machine.ts";
import { type TempDir, tempDir } from "../support/os/temp-dir.ts";
import { ARCHITECTURE, buildDebianPackage, DEBIAN_PACKAGES } from "../support/package/debian-package.ts";
import { waitFor } from "../support/time/wait-for.ts";

const SETUP_MS = 300_000;
const FIRST = "1.0.0";
const SECOND = "1.1.0";
const UNIT = "portmesh.service";
const CONFIG = "/etc/portmesh/portmesh.toml";
const POLICY = "/usr/sbin/policy-rc.d";
const WEB = 8080;
const ECHO = 8081;
const LATER = 8082;
/** From a signal to a new process that serves, on a busy machine. */
const RESTART_MS = 60_000;

const isLacking = lacksNamespaces() || lacks("dpkg-deb", "debootstrap", "nsenter", "setpriv");

describe.skipIf(isLacking)("under systemd", () => {
  let dir: TempDir;
  let network: Namespaces;
  let root: DebianRoot;
  let machine: SystemdMachine;
  let task: FarTask;
  let echo: Bun.TCPSocketListener;
  let load: HttpLoad | null = null;

  beforeAll(async () => {
    dir = tempDir();
    network = Namespaces.create(1);
    task = await startFarTask(network.outside);
    echo = Bun.listen({
      hostname: network.outside,
      port: 0,
      socket: { data: (socket, data) => void socket.write(data) },
    });
    root = await DebianRoot.create(DEBIAN_PACKAGES);
    for (const version of [FIRST, SECOND]) {
      const file = await buildDebianPackage(version, dir.path);
      copyFileSync(file, root.file(basename(file)));
    }
    machine = await SystemdMachine.boot(root, network.nodes[0]!);
  }, SETUP_MS);

  afterAll(async () => {
    await load?.stop();
    await machine?.[Symbol.asyncDispose]();
    await root?.[Symbol.asyncDispose]();
    echo?.stop(true);
    await task?.stop();
    network?.close();
    dir?.[Symbol.dispose]();
  });

  const address = () => machine.node.address;
  const property = (name: string) => machine.property(UNIT, name);
  const systemctl = (...args: string[]) => machine.succeed("systemctl", ...args);
  const signal = (name: string) => systemctl("kill", "--kill-whom=main", `--signal=${name}`, UNIT);
  const install = (version: string) =>
    machine.succeed("dpkg", "--install", `/portmesh_${version}_${ARCHITECTURE}.deb`);

  function services(...more: string[]): string {
    const service = (name: string, port: number, target: string) =>
      `[[services]]\nname = "${name}"\npublish = ["${port}:80"]\ntasks = ["${target}"]\n`;
    return [
      service("web", WEB, task.tcp),
      service("echo", ECHO, `${network.outside}:${echo.port}`),
      ...more,
    ].join("");
  }

  async function isServed(): Promise<void> {
    await waitForTcp(address(), WEB);
  }

  async function waitForProperty(name: string, value: string): Promise<void> {
    const isSo = async () => (await property(name)) === value;
    await waitFor(isSo, { what: `${name}=${value}`, deadlineMs: RESTART_MS });
  }

  function forbid(): void {
    writeFileSync(root.file(POLICY), "#!/bin/sh\nexit 101\n");
    chmodSync(root.file(POLICY), 0o755);
  }

  /** By systemd, at once or after its watchdog's time. */
  async function restarted(change: () => Promise<unknown>): Promise<void> {
    const restarts = Number(await property("NRestarts"));
    await change();
    const isRestarted = async () => Number(await property("NRestarts")) > restarts;
    await waitFor(isRestarted, { what: "a restart by systemd", deadlineMs: RESTART_MS });
  }

  /** Clients come all the time; gives the requests that failed. */
  async function underLoad(change: () => Promise<unknown>): Promise<(string | null)[]> {
    load = new HttpLoad(address(), WEB, 2, { pauseMs: 5, timeoutMs: RESTART_MS });
    await waitFor(() => load!.records.length > 10, { what: "requests before the change" });
    await change();
    const before = load.records.length;
    await waitFor(() => load!.records.length > before + 10, {
      what: "requests after the change",
      deadlineMs: RESTART_MS,
    });
    await load.stop();
    return load.failures.map(({ error }) => error);
  }

  /** Another main process, which is a child of systemd. */
  async function expectReplaced(before: string): Promise<void> {
    const pid = await property("MainPID");
    expect(pid).not.toBe(before);
    await waitForProperty("ActiveState", "active"); // not in the middle of a reload
    expect(await machine.succeed("grep", "PPid", `/proc/${pid}/status`)).toBe("PPid:\t1\n");
  }

  test("install starts the service with the file as it is", async () => {
    await install(FIRST);
    expect([await property("ActiveState"), await property("UnitFileState")]).toEqual(["active", "enabled"]);
    expect(await property("StatusText")).toBe("serving 0 services");
    expect((await machine.run("portmesh", "health")).exitCode).toBe(0);
  });

  test("reload applies the file, by the same process; a file with an error changes nothing", async () => {
    const pid = await property("MainPID");
    writeFileSync(root.file(CONFIG), services());
    await systemctl("reload", UNIT);
    await isServed();
    await waitForProperty("StatusText", "serving 2 services");
    writeFileSync(root.file(CONFIG), `${services()}nonsense = 1\n`);
    expect((await machine.run("systemctl", "reload", UNIT)).exitCode).not.toBe(0);
    await isServed();
    await waitForProperty("ActiveState", "active"); // the node has noticed the file by itself, too
    expect(await property("MainPID")).toBe(pid);
    writeFileSync(root.file(CONFIG), services());
    await systemctl("reload", UNIT);
  });

  test("what is published is in the FD store, and leaves it", async () => {
    const stored = async () => Number(await property("NFileDescriptorStore"));
    const two = await stored();
    expect(two).toBeGreaterThan(0);
    const later = `[[services]]\nname = "later"\npublish = ["${LATER}:80"]\ntasks = ["${task.tcp}"]\n`;
    writeFileSync(root.file(CONFIG), services(later));
    await systemctl("reload", UNIT);
    await waitFor(async () => (await stored()) === two * 1.5, { what: "the sockets of a third service" });
    writeFileSync(root.file(CONFIG), services());
    await systemctl("reload", UNIT);
    await waitFor(async () => (await stored()) === two, { what: "the sockets of two services" });
    expect(await accepts(address(), LATER)).toBe(false);
  });

  test("`portmesh upgrade`: systemd follows to the new process, and no request fails", async () => {
    const pid = await property("MainPID");
    const held = await HeldConnection.open(ECHO, address());
    await held.echoes("before");
    expect(await underLoad(() => machine.succeed("portmesh", "upgrade"))).toEqual([]);
    await expectReplaced(pid);
    await held.echoes("after");
    held.socket.end();
    const hasEnded = async () => (await machine.run("test", "-e", `/proc/${pid}`)).exitCode !== 0;
    await waitFor(hasEnded, { what: "the end of the predecessor" });
    expect([await property("ActiveState"), await property("NRestarts")]).toEqual(["active", "0"]);
  });

  test("a restart lets clients wait, and refuses none", async () => {
    const pid = await property("MainPID");
    const stored = await property("NFileDescriptorStore");
    expect(await underLoad(() => systemctl("restart", UNIT))).toEqual([]);
    await expectReplaced(pid);
    expect(await property("NFileDescriptorStore")).toBe(stored);
  });

  test("a crash refuses no client; only what was open is lost", async () => {
    const pid = await property("MainPID");
    const failures = await underLoad(async () => {
      await restarted(() => signal("KILL"));
    });
    expect(failures.filter((error) => error?.includes("ECONNREFUSED"))).toEqual([]);
    await isServed();
    await expectReplaced(pid);
  });

  test("a crash is noticed at once, also while the predecessor of an upgrade drains", async () => {
    const held = await HeldConnection.open(ECHO, address());
    await held.echoes("held");
    await machine.succeed("portmesh", "upgrade");
    const pid = await property("MainPID");
    await held.echoes("still held");
    await restarted(() => signal("KILL"));
    await isServed();
    await expectReplaced(pid);
    held.socket.end();
  });

  test("the watchdog replaces a process that hangs", async () => {
    const dropIn = `/run/systemd/system/${UNIT}.d`;
    await machine.succeed("mkdir", "-p", dropIn);
    await machine.succeed("sh", "-c", `printf '[Service]\\nWatchdogSec=5s\\n' > ${dropIn}/watchdog.conf`);
    await systemctl("daemon-reload");
    await systemctl("restart", UNIT);
    await isServed();
    const pid = await property("MainPID");
    await restarted(() => signal("STOP"));
    await waitForProperty("ActiveState", "active");
    await isServed();
    await expectReplaced(pid);
    const log = await machine.succeed("journalctl", "--unit", UNIT, "--output", "cat", "_PID=1");
    expect(log).toContain("Watchdog timeout");
    await machine.succeed("rm", "-r", dropIn);
    await systemctl("daemon-reload");
    await systemctl("restart", UNIT);
  });

  for (const [how, upgrade] of [
    ["started by systemd", false],
    ["that has taken over", true],
  ] as const) {
    test(`stop lets connections end that are open at a process ${how}`, async () => {
      if (upgrade) await machine.succeed("portmesh", "upgrade");
      const held = await HeldConnection.open(ECHO, address());
      await held.echoes("held");
      const stopped = systemctl("stop", UNIT);
      await waitForProperty("StatusText", "draining: 1 connection open");
      await waitFor(async () => !(await accepts(address(), WEB)), { what: "the port to close" });
      await held.echoes("still held");
      held.socket.end();
      await stopped;
      expect([await property("ActiveState"), await property("Result")]).toEqual(["inactive", "success"]);
      expect(await property("NFileDescriptorStore")).toBe("0");
      await systemctl("start", UNIT);
      await isServed();
    });
  }

  test("a wrong file is not tried again and again", async () => {
    await systemctl("stop", UNIT);
    writeFileSync(root.file(CONFIG), `${services()}nonsense = 1\n`);
    expect((await machine.run("systemctl", "start", UNIT)).exitCode).not.toBe(0);
    expect([await property("ActiveState"), await property("ExecMainStatus")]).toEqual(["failed", "2"]);
    expect(await machine.succeed("journalctl", "--unit", UNIT, "--lines", "20")).toContain("nonsense");
    writeFileSync(root.file(CONFIG), services());
    await systemctl("start", UNIT);
    await isServed();
  });

  test("an upgrade of the package hands over to the new executable, and no request fails", async () => {
    const pid = await property("MainPID");
    expect(await underLoad(() => install(SECOND))).toEqual([]);
    await expectReplaced(pid);
    const executable = await machine.succeed("readlink", `/proc/${await property("MainPID")}/exe`);
    expect(executable).toBe("/usr/bin/portmesh\n"); // not "(deleted)"
    expect(await property("NRestarts")).toBe("0");
  });

  test("an upgrade restarts a node that cannot hand over", async () => {
    const pid = await property("MainPID");
    await machine.succeed("rm", "/run/portmesh/portmesh.sock");
    await install(FIRST);
    await isServed();
    await expectReplaced(pid);
  });

  test("nothing is replaced or stopped where the policy of the machine forbids it", async () => {
    const pid = await property("MainPID");
    forbid();
    await install(SECOND);
    await machine.succeed("dpkg", "--remove", "portmesh");
    expect([await property("MainPID"), await property("ActiveState")]).toEqual([pid, "active"]);
    await install(SECOND);
    rmSync(root.file(POLICY));
  });

  test("remove stops the service, purge leaves nothing", async () => {
    await machine.succeed("dpkg", "--remove", "portmesh");
    expect(await accepts(address(), WEB)).toBe(false);
    expect((await machine.run("systemctl", "is-active", UNIT)).output).toBe("inactive\n");
    await machine.succeed("dpkg", "--purge", "portmesh");
    const rest = await machine.run("find", "/", "-xdev", "-name", "*portmesh*", "-not", "-name", "*.deb");
    expect(rest.output).toBe("");
    expect((await machine.run("getent", "passwd", "portmesh")).exitCode).toBe(2);
  });

  test("install starts nothing where the policy of the machine forbids it", async () => {
    forbid();
    await install(FIRST);
    expect([await property("UnitFileState"), await property("ActiveState")]).toEqual(["enabled", "inactive"]);
  });
});
