/** dist/portmesh as somebody has it who has downloaded it: no checkout, no environment, nothing but the C library. */
import { afterEach, expect, test } from "bun:test";
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { request } from "../support/load/http-load.ts";
import { EXECUTABLE, portmesh } from "../support/node/node-process.ts";
import { freePort } from "../support/os/free-port.ts";
import { findProgram } from "../support/os/require-program.ts";
import { waitFor } from "../support/time/wait-for.ts";

const directories: string[] = [];

function emptyDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), "portmesh-test-"));
  directories.push(directory);
  return directory;
}

afterEach(() => {
  for (const directory of directories.splice(0)) rmSync(directory, { recursive: true, force: true });
});

/** The executable and the libraries that ldd names, at the same paths. */
async function buildRoot(): Promise<string> {
  const root = emptyDirectory();
  const ldd = await Bun.$`ldd ${EXECUTABLE}`.text();
  const libraries = [...ldd.matchAll(/(\/\S+) \(0x/g)].map((match) => match[1]!);
  for (const library of libraries) {
    mkdirSync(join(root, dirname(library)), { recursive: true });
    copyFileSync(library, join(root, library));
  }
  copyFileSync(EXECUTABLE, join(root, "portmesh"));
  mkdirSync(join(root, "proc"));
  return root;
}

/** Runs it with `root` as root directory and, as in every container, /proc; both end with the process. */
function inside(root: string, ...args: string[]): string[] {
  const script = 'mount --bind /proc "$0/proc" && exec env -i "$(command -v chroot)" "$0" "$@"';
  return [findProgram("unshare")!, "--mount", "/bin/sh", "-c", script, root, "/portmesh", ...args];
}

test.skipIf(process.getuid!() !== 0)(
  "serves in a root directory that holds libc, /proc and nothing else",
  async () => {
    const root = await buildRoot();
    const published = await freePort();
    const server = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Response("from outside") });
    writeFileSync(
      join(root, "portmesh.toml"),
      `[[services]]\nname = "web"\npublish = ["${published}:${server.port}"]\ntasks = ["127.0.0.1"]\n`,
    );
    const child = Bun.spawn(inside(root, "run", "-c", "/portmesh.toml"), {
      stdin: "ignore",
      stdout: "ignore",
      stderr: "pipe",
    });
    try {
      await waitFor(async () => (await request("127.0.0.1", published)).body === "from outside", {
        what: "the published port",
      });
      const status = Bun.spawn(inside(root, "status"), { stdout: "pipe" });
      expect(await status.stdout.text()).toContain("127.0.0.1");
      expect(await status.exited).toBe(0);
      child.kill("SIGTERM");
      expect(await child.exited).toBe(0);
    } finally {
      child.kill("SIGKILL");
      await server.stop(true);
    }
  },
);

test("does not read the settings files of the directory it is started in", async () => {
  const directory = emptyDirectory();
  const trap = join(directory, "trap.ts");
  writeFileSync(trap, 'console.log("TRAPPED");');
  writeFileSync(join(directory, "bunfig.toml"), `preload = ["${trap}"]\n`);
  let requests = 0;
  const socket = join(directory, "trap.sock");
  const server = Bun.serve({ unix: socket, fetch: () => new Response(`asked ${++requests} times`) });
  writeFileSync(join(directory, ".env"), `PORTMESH_SOCKET=${socket}\n`);
  const child = Bun.spawn([EXECUTABLE, "status"], {
    cwd: directory,
    env: {},
    stdout: "pipe",
    stderr: "pipe",
  });
  const output = (await child.stdout.text()) + (await child.stderr.text());
  expect(output).not.toContain("TRAPPED");
  expect(output).not.toContain("trap.sock");
  expect(output).not.toBe("");
  expect([0, 1]).toContain(await child.exited); // 0: a node of this machine answers at the default socket
  expect(requests).toBe(0);
  expect(await (await fetch("http://node/", { unix: socket })).text()).toBe("asked 1 times"); // the trap works
  await server.stop(true);
});

test("version, help and check work without a node", async () => {
  expect(await portmesh("version")).toMatchObject({ exitCode: 0, stderr: "" });
  expect((await portmesh("--help")).stdout).toContain("portmesh");
  const file = join(emptyDirectory(), "portmesh.toml");
  writeFileSync(file, '[[services]]\nname = "web"\npublish = ["70000:80"]\ntsks = []\n');
  const check = await portmesh("check", "-c", file, "--json");
  expect(check.exitCode).toBe(2);
  expect(check.stdout).toContain("services[0].publish[0]");
  expect(check.stdout).toContain("services[0].tsks");
  expect((await portmesh("run", "-c", file)).exitCode).toBe(2);
  expect((await portmesh("run", "--no-such-option")).exitCode).toBe(2);
  expect((await portmesh("status", "--socket", "/nowhere/portmesh.sock")).exitCode).toBe(1);
});

test("with a variable that opens a debugger it does not start", () => {
  const variables = { BUN_INSPECT: "ws://127.0.0.1:0/debug", BUN_OPTIONS: "--inspect=127.0.0.1:0" };
  for (const [name, value] of Object.entries(variables)) {
    const result = Bun.spawnSync([EXECUTABLE, "version"], { env: { [name]: value } });
    expect(result.exitCode).toBe(1);
    expect(result.stdout.toString()).toBe("");
    expect(result.stderr.toString()).toContain(`${name} is set: it opens a debugger`);
  }
});

test("too little address space for the libraries is one line and exit code 1", () => {
  const script = 'ulimit -v 1500000 && exec "$0" version';
  const { exitCode, stderr } = Bun.spawnSync(["sh", "-c", script, EXECUTABLE], { env: {} });
  expect(stderr.toString().trim().split("\n")).toHaveLength(1);
  expect(stderr.toString()).toMatch(/^cannot start: cannot open the C library.*ulimit -v/);
  expect(exitCode).toBe(1);
});

test.skipIf(process.getuid!() !== 0)("a system that refuses threads is one line and exit code 1", () => {
  const directory = emptyDirectory();
  const [program, file] = [join(directory, "portmesh"), join(directory, "portmesh.toml")];
  copyFileSync(EXECUTABLE, program);
  writeFileSync(
    file,
    `[node]\ndata_dir = "${directory}/data"\n[admin]\nsocket = "${directory}/s.sock"\n[proxy]\nworkers = 64\n`,
  );
  for (const path of [directory, program]) chmodSync(path, 0o777);
  const script = 'ulimit -u 48 && exec setpriv --reuid 65433 --clear-groups "$0" run -c "$1"';
  const { exitCode, stdout, stderr } = Bun.spawnSync([findProgram("bash")!, "-c", script, program, file], {
    env: { PATH: process.env.PATH! },
    timeout: 60_000,
  });
  expect(stdout.toString()).not.toContain("serving");
  expect(stderr.toString()).toMatch(/^cannot start a thread: .*TasksMax.*\n$/);
  expect(exitCode).toBe(1);
});
