/** The executables of `npm run package`, each started as on its own machine: with the C library and nothing else. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import {
  copyFileSync,
  cpSync,
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { connect, createServer } from "node:net";
import { join, resolve } from "node:path";
import { bundledPackages } from "../../build/package/licenses.ts";
import { TARGETS } from "../../build/package/targets.ts";
import packageJson from "../../package.json" with { type: "json" };
import { UdpPeer } from "../support/load/udp-peer.ts";
import { freePort } from "../support/os/free-port.ts";
import { findProgram, lacks, skip } from "../support/os/require-program.ts";
import { tempDir } from "../support/os/temp-dir.ts";
import { commandIn, type Machine, MachineRoots } from "../support/package/machine-roots.ts";
import { buildRelease, readSums } from "../support/package/release.ts";
import { waitFor } from "../support/time/wait-for.ts";

const PROGRAMS = [
  "qemu-aarch64-static",
  "qemu-x86_64-static",
  "aarch64-linux-gnu-as",
  "x86_64-linux-gnu-as",
  "busybox",
];
const isSkipped =
  (process.getuid!() !== 0 && skip("chroot needs root")) ||
  (process.arch !== "x64" && skip("the emulators are those of x64")) ||
  lacks(...PROGRAMS);
/** More than the proxy holds at a time. */
const TRANSFER_BYTES = 1_000_000;
/** An emulated machine starts in ten seconds when it is alone. */
const START_MS = 90_000;

const directory = tempDir();
const dist = directory.file("dist");
const roots = new MachineRoots(directory.path);

beforeAll(() => {
  if (!isSkipped) buildRelease(dist);
});
afterAll(() => directory[Symbol.dispose]());

function machineOf(target: string): Machine {
  return {
    architecture: target.includes("arm64") ? "arm64" : "x64",
    isMusl: target.includes("musl"),
    hasAvx: target !== "linux-x64-baseline", // emulation takes its time: one of the two is enough
  };
}

function executable(target: string): string {
  return join(dist, `portmesh-${packageJson.version}-${target}`);
}

describe.skipIf(isSkipped)("on its own machine", () => {
  test.each(TARGETS.map(({ name }) => name))("%s starts, and forwards TCP and UDP", async (target) => {
    const machine = machineOf(target);
    const root = roots.make(machine, executable(target));
    const run = (...args: string[]) =>
      Bun.spawn(commandIn(root, machine, args), { stdout: "pipe", stderr: "pipe" });

    const version = JSON.parse(await run("version", "--json").stdout.text());
    expect(version).toMatchObject({ target, architecture: machine.architecture, bun: Bun.version });
    expect(version.cLibrary).toMatch(machine.isMusl ? /^musl$/ : /^glibc \d/);
    expect(version.commit).toMatch(/^[0-9a-f]{12}\+?$/);

    const echo = createServer((socket) => socket.pipe(socket)).listen(0, "127.0.0.1");
    const task = await UdpPeer.task();
    const [tcp, udp] = [await freePort(), await freePort()];
    const { port } = echo.address() as { port: number };
    writeFileSync(
      join(root, "portmesh.toml"),
      `[node]\ndata_dir = "/tmp/data"\n[admin]\nsocket = "/tmp/portmesh.sock"\n[proxy]\nworkers = 1\n` +
        `[[services]]\nname = "echo"\npublish = ["${tcp}:${port}"]\ntasks = ["127.0.0.1"]\n` +
        `[[services]]\nname = "dns"\npublish = ["${udp}:${task.port}/udp"]\ntasks = ["127.0.0.1"]\n`,
    );
    const node = run("run", "-c", "/portmesh.toml");
    const log = node.stderr.text();
    try {
      await waitFor(async () => (await exchange(tcp, 1)) !== null || node.exitCode !== null, {
        what: "the published port",
        deadlineMs: START_MS,
      });
      expect({ exitCode: node.exitCode, log: node.exitCode === null ? "" : await log }).toEqual({
        exitCode: null,
        log: "",
      });
      expect(await exchange(tcp, TRANSFER_BYTES)).toBe(TRANSFER_BYTES);
      const client = await UdpPeer.open();
      expect((await client.ask("which machine?", udp)).data.toString()).toBe("which machine?");
      client.close();
      node.kill("SIGTERM");
      expect(await node.exited).toBe(0);
    } finally {
      node.kill("SIGKILL");
      echo.close();
      task.close();
    }
  });
});

describe.skipIf(isSkipped)("install.sh, with busybox and the C library", () => {
  const install = (root: string) => {
    mkdirSync(join(root, "bin"));
    copyFileSync(findProgram("busybox")!, join(root, "bin/busybox"));
    for (const name of ["sh", "uname", "sed", "head", "mktemp", "rm", "cp", "mv", "sha256sum", "chmod"]) {
      symlinkSync("busybox", join(root, "bin", name));
    }
    for (const folder of ["opt", "dev"]) mkdirSync(join(root, folder));
    Bun.spawnSync([findProgram("mknod")!, join(root, "dev/null"), "c", "1", "3"]);
    mkdirSync(join(root, "release"));
    for (const file of readdirSync(dist)) linkSync(join(dist, file), join(root, "release", file));
    return Bun.spawnSync(
      commandIn(root, machineOf("linux-x64"), ["--to", "/opt/portmesh"], ["/bin/sh", "/release/install.sh"]),
    );
  };

  test.each(["linux-x64", "linux-x64-musl"])("installs %s", (target) => {
    const root = roots.make(machineOf(target), executable(target));
    const { exitCode, stdout, stderr } = install(root);
    expect({ exitCode, stderr: stderr.toString() }).toEqual({ exitCode: 0, stderr: "" });
    // a machine of CI may lack AVX2
    expect(stdout.toString()).toMatch(
      new RegExp(`^installed /opt/portmesh: portmesh \\S+ \\(\\S+\\) ${target}(?:-baseline)?, `),
    );
  });

  test("says what is missing on musl without libstdc++", () => {
    const root = roots.make(machineOf("linux-x64-musl"), executable("linux-x64-musl"));
    rmSync(join(root, "usr/lib/libstdc++.so.6"));
    const { exitCode, stderr } = install(root);
    expect(stderr.toString()).toContain("it needs libstdc++ (Alpine: apk add libstdc++)");
    expect(exitCode).toBe(1);
    expect(readdirSync(join(root, "opt"))).toEqual([]);
  });
});

describe.skipIf(isSkipped)("the release", () => {
  test("SHA256SUMS has the hash of every file", () => {
    const sums = readSums(dist);
    expect([...sums.keys()]).toEqual(
      expect.arrayContaining(TARGETS.map(({ name }) => `portmesh-${packageJson.version}-${name}`)),
    );
    const files = [...new Bun.Glob("*").scanSync(dist)].filter((file) => file !== "SHA256SUMS");
    expect(files.sort()).toEqual([...sums.keys()].sort());
    for (const [file, hash] of sums) {
      const bytes = readFileSync(join(dist, file));
      expect({ file, hash: createHash("sha256").update(bytes).digest("hex") }).toEqual({ file, hash });
    }
  });

  test("the executable prints the licences that lie beside it", () => {
    const { stdout } = Bun.spawnSync([executable("linux-x64-baseline"), "version", "--licenses"]);
    expect(stdout.toString()).toBe(readFileSync(join(dist, "THIRD-PARTY-LICENSES.txt"), "utf8"));
  });

  test("the same commit in another directory gives the same bytes", () => {
    const checkout = directory.file("somewhere/else");
    cloneTo(checkout);
    const targets = ["linux-x64", "linux-arm64-musl"];
    buildRelease(directory.file("again"), targets, checkout);
    const [first, again] = [readSums(dist), readSums(directory.file("again"))];
    for (const target of targets) {
      const file = `portmesh-${packageJson.version}-${target}`;
      expect({ file, hash: again.get(file) }).toEqual({ file, hash: first.get(file)! });
    }
  });
});

/** As it is here, committed or not; with the packages that are compiled, and the runtimes that are fetched already. */
function cloneTo(checkout: string): void {
  git("clone", "--quiet", "--shared", ".", checkout);
  const changed = git("ls-files", "--modified", "--others", "--exclude-standard").split("\n").filter(Boolean);
  const packages = [...bundledPackages().map((bundled) => bundled.directory), "node_modules/bun-types"];
  for (const path of [...changed, ...packages]) {
    if (existsSync(path)) cpSync(path, join(checkout, path), { recursive: true });
    else rmSync(join(checkout, path));
  }
  symlinkSync(resolve("node_modules/.cache"), join(checkout, "node_modules/.cache"));
}

function git(...args: string[]): string {
  const { exitCode, stdout, stderr } = Bun.spawnSync(["git", ...args]);
  if (exitCode !== 0) throw new Error(`git ${args[0]}: ${stderr.toString()}`);
  return stdout.toString();
}

/** How many of `bytes` come back through a connection to the port; null when it cannot be opened. */
function exchange(port: number, bytes: number): Promise<number | null> {
  return new Promise((done) => {
    let received = 0;
    const socket = connect(port, "127.0.0.1", () => socket.end(Buffer.alloc(bytes, "x")));
    socket.on("data", (chunk) => (received += chunk.length));
    socket.on("error", () => done(null));
    socket.on("close", () => done(received > 0 ? received : null));
  });
}
