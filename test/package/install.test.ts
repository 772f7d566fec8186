/**
 * install.sh. The executables of most tests are shell scripts: what matters is which one is chosen, what is verified, and
 * what is left behind. The last test upgrades a real node. Other machines are faked by uname, ldd and /proc/cpuinfo.
 */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import {
  appendFileSync,
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { basename, join } from "node:path";
import { TARGETS } from "../../build/package/targets.ts";
import { HttpLoad } from "../support/load/http-load.ts";
import { startNamedTask } from "../support/load/http-task.ts";
import { EXECUTABLE } from "../support/node/node-process.ts";
import { freePort } from "../support/os/free-port.ts";
import { findProgram, lacks, skip } from "../support/os/require-program.ts";
import { type TempDir, tempDir } from "../support/os/temp-dir.ts";
import { waitFor } from "../support/time/wait-for.ts";

const SCRIPT = "build/package/install.sh";
const VERSION = "9.8.7";
const AVX2 = "fpu sse4_2 avx avx2 bmi1 bmi2 fma movbe abm";
const NAMES = TARGETS.map(({ name }) => name);
const isSkipped =
  (process.getuid!() !== 0 && skip("mounts need root")) ||
  lacks("busybox", "dash", "bash", "curl", "shellcheck", "unshare");
/** As sh, and with nothing but busybox on the path. */
const SHELLS = ["dash", "bash --posix", "busybox sh"] as const;

interface Result {
  readonly exitCode: number;
  readonly output: string;
}

interface RunOptions {
  readonly shell?: (typeof SHELLS)[number];
  readonly machine?: {
    readonly uname?: string;
    readonly system?: string;
    readonly ldd?: string;
    readonly cpu?: string;
  };
  /** A shell command in the same mount namespace, before the script. */
  readonly before?: string;
  /** And after it. */
  readonly after?: string;
  readonly path?: string;
  /** "NAME=value" */
  readonly variables?: readonly string[];
}

let directory: TempDir;
let release: string;
let target: string;

beforeEach(() => {
  directory = tempDir();
  release = directory.file("release");
  target = directory.file("bin/portmesh");
  mkdirSync(directory.file("bin"));
  makeRelease(release);
});
afterEach(() => directory[Symbol.dispose]());

/** A release whose executables print their name. */
function makeRelease(folder: string, names: readonly string[] = NAMES): void {
  mkdirSync(folder);
  copyFileSync(SCRIPT, join(folder, "install.sh"));
  for (const name of names) {
    writeFileSync(fileOf(name, folder), `#!/bin/sh\necho "portmesh ${VERSION} ${name}"\n`);
  }
  writeSums(folder);
}

function writeSums(folder: string): void {
  const files = readdirSync(folder).filter((file) => file !== "SHA256SUMS");
  const hash = (file: string) =>
    createHash("sha256")
      .update(readFileSync(join(folder, file)))
      .digest("hex");
  writeFileSync(join(folder, "SHA256SUMS"), files.map((file) => `${hash(file)}  ${file}\n`).join(""));
}

function fileOf(name: string, folder = release): string {
  return join(folder, `portmesh-${VERSION}-${name}`);
}

function install(args: readonly string[] = [], options: RunOptions = {}): Result {
  const { exitCode, stdout, stderr } = Bun.spawnSync(installCommand(args, options), {
    stdout: "pipe",
    stderr: "pipe",
  });
  return { exitCode, output: stdout.toString() + stderr.toString() };
}

/** While this process goes on serving. */
async function installAside(options: RunOptions): Promise<Result> {
  const child = Bun.spawn(installCommand([], options), { stdio: ["ignore", "pipe", "pipe"] });
  const [stdout, stderr] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  return { exitCode: await child.exited, output: stdout + stderr };
}

function installCommand(args: readonly string[], options: RunOptions): string[] {
  const { shell = "dash", machine = {}, before = ":", after = ":", path = searchPath(shell) } = options;
  const { variables = [] } = options;
  const fakes = directory.file("fakes");
  rmSync(fakes, { recursive: true, force: true });
  mkdirSync(fakes);
  const { uname = "x86_64", system = "Linux", ldd = "ldd (Debian GLIBC 2.36-9) 2.36", cpu = AVX2 } = machine;
  fake(fakes, "uname", `case $1 in -m) echo ${uname} ;; *) echo ${system} ;; esac`);
  fake(fakes, "ldd", ldd === "" ? "exit 127" : `echo '${ldd}' >&2`);
  writeFileSync(join(fakes, "cpuinfo"), cpu === "" ? "" : `processor\t: 0\nflags\t\t: ${cpu}\n`);
  const prepare = `mount --bind '${fakes}/cpuinfo' /proc/cpuinfo && ${before} && env -i PATH="$0" "$@"; code=$?; ${after}; exit $code`;
  const command = shell === "busybox sh" ? [realpathSync(findProgram("busybox")!), "sh"] : shell.split(" ");
  return [
    ...[findProgram("unshare")!, "--mount", "/bin/sh", "-c", prepare, `${fakes}:${path}`, ...variables],
    ...[findProgram(command[0]!) ?? command[0]!, ...command.slice(1)],
    ...[join(release, "install.sh"), "--to", target, ...args],
  ];
}

function searchPath(shell: string): string {
  if (shell !== "busybox sh") return process.env.PATH!;
  const folder = directory.file("busybox");
  if (!existsSync(folder)) {
    mkdirSync(folder);
    Bun.spawnSync([findProgram("busybox")!, "--install", "-s", folder]);
  }
  return folder;
}

function fake(folder: string, name: string, body: string): void {
  writeFileSync(join(folder, name), `#!/bin/sh\n${body}\n`);
  chmodSync(join(folder, name), 0o755);
}

function version(): string {
  return Bun.spawnSync([target, "version"]).stdout.toString().trim();
}

/** Nothing but the executable, if there is one. */
function leftovers(): string[] {
  return readdirSync(directory.file("bin")).filter((file) => file !== "portmesh");
}

describe.skipIf(isSkipped)("install.sh", () => {
  test.each(["sh", "dash"])("is clean for shellcheck, as %s", (dialect) => {
    const { stdout } = Bun.spawnSync([findProgram("shellcheck")!, "--shell", dialect, SCRIPT]);
    expect(stdout.toString()).toBe("");
  });

  test.each([
    [{}, "linux-x64"],
    [{ cpu: "fpu sse4_2 avx" }, "linux-x64-baseline"],
    [{ cpu: "fpu avx2x xavx2" }, "linux-x64-baseline"],
    [{ cpu: "" }, "linux-x64-baseline"],
    [{ ldd: "musl libc (x86_64)" }, "linux-x64-musl"],
    [{ ldd: "musl libc (x86_64)", cpu: "fpu" }, "linux-x64-musl-baseline"],
    [{ uname: "aarch64", cpu: "" }, "linux-arm64"],
    [{ uname: "arm64", cpu: "", ldd: "musl libc (aarch64)" }, "linux-arm64-musl"],
    [{ ldd: "" }, "linux-x64"], // the loader of this machine
  ])("on a machine with %p it installs %s", (machine, name) => {
    expect(install([], { machine })).toMatchObject({ exitCode: 0 });
    expect(version()).toBe(`portmesh ${VERSION} ${name}`);
    expect(leftovers()).toEqual([]);
  });

  test.each([
    [{ uname: "riscv64" }, "no executable for the architecture riscv64"],
    [{ system: "FreeBSD" }, "portmesh runs on Linux; this is FreeBSD"],
  ])("on a machine with %p it says that there is no executable", (machine, message) => {
    const { exitCode, output } = install([], { machine });
    expect(exitCode).toBe(1);
    expect(output).toContain(message);
    expect(existsSync(target)).toBe(false);
  });

  test.each(SHELLS)("under %s it installs, upgrades, and notices that there is nothing to do", (shell) => {
    fake(directory.file("bin"), "portmesh", "exit 1");
    expect(install([], { shell })).toMatchObject({ exitCode: 0 });
    expect(version()).toBe(`portmesh ${VERSION} linux-x64`);
    const again = install([], { shell });
    expect(again.exitCode).toBe(0);
    expect(again.output).toContain(`is portmesh-${VERSION}-linux-x64 already`);
    expect(leftovers()).toEqual([]);
  });

  test.each(SHELLS)("%s runs it from a pipe, as a whole or not at all", (shell) => {
    const script = readFileSync(SCRIPT, "utf8");
    const pipe = (text: string) =>
      Bun.spawnSync([...shell.split(" "), "-s", "--", "--from", release, "--to", target], {
        stdin: Buffer.from(text),
        stdout: "pipe",
        stderr: "pipe",
      });
    for (let end = 100; end < script.length - 2; end += 997) {
      pipe(script.slice(0, end));
      expect({ end, installed: existsSync(target), leftovers: leftovers() }).toEqual({
        end,
        installed: false,
        leftovers: [],
      });
    }
    expect(pipe(script).exitCode).toBe(0);
    expect(version()).toContain(`portmesh ${VERSION} linux-`);
  });

  test.each([
    [["--from"], "--from needs a value"],
    [["--fast"], "unknown argument: --fast"],
    [["--target", "x;y"], '"x;y" is not a valid target'],
  ])("%p is wrong usage", (args, message) => {
    const { exitCode, output } = install(args);
    expect(exitCode).toBe(2);
    expect(output).toContain(message);
  });

  test.each([
    ["dash", "curl"],
    ["busybox sh", "wget"],
  ] as const)("under %s it downloads with %s", async (shell, program) => {
    // a server of its own: this process waits for the script
    await using server = await serve(release);
    const from = ["--from", server.url];
    const { exitCode, output } = install(from, { shell });
    expect({ exitCode, output }).toMatchObject({ exitCode: 0 });
    expect(version()).toBe(`portmesh ${VERSION} linux-x64`);
    const missing = install(["--from", `${server.url}/nowhere`], { shell });
    expect(missing.exitCode).toBe(1);
    expect(missing.output).toMatch(/cannot download http:.*\/nowhere\/SHA256SUMS/);
    expect(program === "wget" ? existsSync(join(searchPath(shell), "curl")) : false).toBe(false);
    expect(leftovers()).toEqual([]);
  });

  test("without curl and wget it says what to do", () => {
    const path = directory.file("bare");
    mkdirSync(path);
    for (const name of ["sh", "mktemp", "rm", "sed", "head", "cp", "sha256sum", "chmod", "mv"]) {
      symlinkSync(findProgram(name)!, join(path, name));
    }
    const { exitCode, output } = install(["--from", "http://127.0.0.1:1"], { path });
    expect(exitCode).toBe(1);
    expect(output).toContain("neither curl nor wget is installed");
  });
});

describe.skipIf(isSkipped)("a failed installation changes nothing:", () => {
  beforeEach(() => fake(directory.file("bin"), "portmesh", 'echo "the old one"'));

  function expectFailure(result: Result, message: string): void {
    expect(result.output).toContain(message);
    expect(result.exitCode).toBe(1);
    expect(version()).toBe("the old one");
    expect(leftovers()).toEqual([]);
  }

  test.each(SHELLS)("a damaged file, under %s", (shell) => {
    appendFileSync(fileOf("linux-x64"), "#");
    expectFailure(install([], { shell }), `portmesh-${VERSION}-linux-x64 is damaged`);
  });

  test("a truncated file", () => {
    writeFileSync(fileOf("linux-x64"), "#!/bin/sh\n");
    expectFailure(install(), "is damaged");
  });

  test("sums of another release that the operator trusts", () => {
    const other = directory.file("other");
    makeRelease(other);
    appendFileSync(fileOf("linux-x64", other), "#");
    writeSums(other);
    expectFailure(install(["--sums", join(other, "SHA256SUMS")]), "is damaged");
  });

  test("no executable for this machine in SHA256SUMS", () => {
    rmSync(release, { recursive: true });
    makeRelease(release, ["linux-arm64"]);
    expectFailure(install(), "SHA256SUMS lists no executable for linux-x64");
  });

  test("a file that SHA256SUMS lists and the folder lacks", () => {
    rmSync(fileOf("linux-x64"));
    expectFailure(install(), `no portmesh-${VERSION}-linux-x64 in`);
  });

  test("two versions in one folder", () => {
    copyFileSync(fileOf("linux-x64"), join(release, "portmesh-9.9.9-linux-x64"));
    writeSums(release);
    expectFailure(install(), "SHA256SUMS lists several versions for linux-x64");
  });

  test("a file that does not start here", () => {
    writeFileSync(
      fileOf("linux-x64-musl"),
      "#!/bin/sh\necho 'Error loading shared library libstdc++.so.6' >&2\nexit 127\n",
    );
    writeSums(release);
    const result = install([], { machine: { ldd: "musl libc (x86_64)" } });
    expectFailure(result, "it needs libstdc++ (Alpine: apk add libstdc++)");
    expect(result.output).toContain("Error loading shared library");
  });

  test("no space", () => {
    appendFileSync(fileOf("linux-x64"), "#".repeat(200_000));
    writeSums(release);
    const folder = directory.file("bin");
    const before = `mount -t tmpfs -o size=64k tmpfs '${folder}'`;
    const result = install([], { before, after: `ls -A '${folder}' | wc -l` });
    expectFailure(result, "cannot copy");
    expect(result.output).toContain("No space left on device");
    expect(result.output).toStartWith("0\n"); // files that it left there
  });

  test("a read-only target", () => {
    const before = `mount -t tmpfs -o ro tmpfs '${directory.file("bin")}'`;
    expectFailure(install([], { before }), "it is read-only, full, or not yours");
  });

  test("a folder that does not exist", () => {
    target = directory.file("nowhere/portmesh");
    const { exitCode, output } = install();
    expect(exitCode).toBe(1);
    expect(output).toContain("no such folder");
  });
});

describe.skipIf(isSkipped)("beside a running node", () => {
  /** An old executable whose node runs: `upgrade` does what is given. */
  function oldNode(upgrade: string): void {
    fake(
      directory.file("bin"),
      "portmesh",
      `case "$*" in status) ;; "upgrade --help") ;; upgrade*) ${upgrade} ;; *) echo "the old one" ;; esac`,
    );
  }

  test("it hands the new file to the node", () => {
    const asked = directory.file("asked");
    oldNode(`"$2" version >'${asked}'`);
    const { exitCode, output } = install();
    expect(exitCode).toBe(0);
    expect(output).toContain(`upgraded the node: portmesh ${VERSION} linux-x64`);
    expect(readFileSync(asked, "utf8")).toBe(`portmesh ${VERSION} linux-x64\n`);
    expect(version()).toBe(`portmesh ${VERSION} linux-x64`);
    expect(leftovers()).toEqual([]);
  });

  test("the node starts the new file from its final path", () => {
    const asked = directory.file("asked");
    oldNode(`echo "$2" >'${asked}'`);
    expect(install()).toMatchObject({ exitCode: 0 });
    expect(readFileSync(asked, "utf8")).toBe(`${target}\n`);
  });

  test("a node that refuses the new file keeps the old one", () => {
    oldNode("echo 'cannot upgrade: other layout' >&2; exit 1");
    const { exitCode, output } = install();
    expect(exitCode).toBe(1);
    expect(output).toContain("cannot upgrade: other layout");
    expect(output).toContain("the node continues as before");
    expect(version()).toBe("the old one");
    expect(leftovers()).toEqual([]);
  });

  test("a node without this command is replaced on disk, and the operator restarts it", () => {
    fake(directory.file("bin"), "portmesh", '[ "$1" = status ]');
    const { exitCode, output } = install();
    expect(exitCode).toBe(0);
    expect(output).toContain("restart it");
    expect(version()).toBe(`portmesh ${VERSION} linux-x64`);
  });

  test("a symbolic link stays one; what it points to is replaced", () => {
    mkdirSync(directory.file("opt"));
    fake(directory.file("opt"), "portmesh-old", "exit 1");
    symlinkSync(directory.file("opt/portmesh-old"), target);
    expect(install()).toMatchObject({ exitCode: 0 });
    expect(basename(realpathSync(target))).toBe("portmesh-old");
    expect(version()).toBe(`portmesh ${VERSION} linux-x64`);
  });
});

test.skipIf(isSkipped)("a real node is upgraded while clients connect, and refuses none", async () => {
  copyFileSync(EXECUTABLE, target);
  copyFileSync(EXECUTABLE, fileOf("linux-x64"));
  appendFileSync(fileOf("linux-x64"), "\0"); // another file, the same program
  writeSums(release);
  const task = startNamedTask("task");
  const port = await freePort();
  const file = directory.file("portmesh.toml");
  const socket = directory.file("portmesh.sock");
  writeFileSync(
    file,
    `[admin]\nsocket = "${socket}"\n[node]\ndata_dir = "${directory.file("state")}"\n` +
      `[[services]]\nname = "web"\npublish = ["${port}:${task.port}"]\ntasks = ["127.0.0.1"]\n`,
  );
  const old = Bun.spawn([target, "run", "-c", file], { env: {}, stdio: ["ignore", "ignore", "ignore"] });
  const pid = async () => {
    const answer = await fetch("http://portmesh/v1/status", { unix: socket });
    return ((await answer.json()) as { pid: number }).pid;
  };
  const load = new HttpLoad("127.0.0.1", port, 2, { pauseMs: 5 });
  let successor: number | null = null;
  try {
    await waitFor(() => load.records.at(-1)?.error === null, { what: "the node to serve" });
    const startedMs = performance.now();
    const result = await installAside({ variables: [`PORTMESH_SOCKET=${socket}`] });
    expect(result).toMatchObject({
      exitCode: 0,
      output: expect.stringContaining("upgraded the node: portmesh"),
    });
    successor = await pid();
    expect(successor).not.toBe(old.pid);
    expect(realpathSync(`/proc/${successor}/exe`)).toBe(realpathSync(target));
    expect(await old.exited).toBe(0);
    const { length } = load.records;
    await waitFor(() => load.records.length > length + 10, { what: "requests after the upgrade" });
    await load.stop();
    expect(load.since(startedMs).filter(({ error }) => error !== null)).toEqual([]);
    expect(leftovers()).toEqual([]);
  } finally {
    await load.stop();
    if (successor !== null) process.kill(successor, "SIGKILL");
    old.kill("SIGKILL");
    await task.stop();
  }
});

/** Serves a folder from another process. */
async function serve(folder: string): Promise<AsyncDisposable & { url: string }> {
  const script = `
    const server = Bun.serve({ hostname: "127.0.0.1", port: 0, async fetch(request) {
      const file = Bun.file(${JSON.stringify(folder)} + new URL(request.url).pathname);
      return (await file.exists()) ? new Response(file) : new Response("", { status: 404 });
    } });
    console.log(server.url.origin);`;
  const server = Bun.spawn([process.execPath, "-e", script], { stdout: "pipe" });
  const { value } = await server.stdout.getReader().read();
  return {
    url: new TextDecoder().decode(value).trim(),
    async [Symbol.asyncDispose]() {
      server.kill();
      await server.exited;
    },
  };
}
